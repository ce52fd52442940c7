"""The parts of `training_free.py`."""
