"""The parts of `mask_quality.py`."""
