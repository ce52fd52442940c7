"""The parts of `attention.py`."""
