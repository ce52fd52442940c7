"""Evaluations side by side, as one page that needs no other file and no network."""
