from training_fixtures import (
    _one_thread,
    annotations,
    base_experiment,
    base_weights,
    faim_experiment,
    fit,
    logged,
)

__all__ = [
    "_one_thread",
    "annotations",
    "base_experiment",
    "base_weights",
    "faim_experiment",
    "fit",
    "logged",
]
