"""A running video: its memory, its state, and how frames are looked at."""
