"""Converters of other datasets to CocoVID."""
