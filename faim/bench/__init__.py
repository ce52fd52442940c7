"""How fast a model runs: the base detector alone, streams and global mode, side by side."""
