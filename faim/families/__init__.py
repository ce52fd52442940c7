"""Families of detectors: each a folder with its networks, config, graphs and experiments."""
