"""The parts of each study; its program has its name in the folder above."""
