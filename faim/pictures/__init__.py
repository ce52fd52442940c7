"""Image files and pictures: the one way in, the one way out, and text drawn on them."""
