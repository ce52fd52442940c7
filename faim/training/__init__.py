"""Training: Lightning's loop around whatever stage an experiment has."""
