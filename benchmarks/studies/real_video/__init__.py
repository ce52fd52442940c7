"""The parts of `real_video.py`."""
