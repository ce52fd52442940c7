"""The box-to-mask network's experiments, where users' files have always found them."""
