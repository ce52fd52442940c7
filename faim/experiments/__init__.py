"""Experiments: a training's numbers as data, and what a family brings to train by them."""
