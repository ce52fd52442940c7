"""Datasets: reading, frame sampling, transforms and converters."""
