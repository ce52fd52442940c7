"""The box-to-mask network's experiment, where users' files have always found it."""
