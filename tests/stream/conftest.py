from runtime_fixtures import as_it_was, detector, everything_is_installed, model

__all__ = ["as_it_was", "detector", "everything_is_installed", "model"]
