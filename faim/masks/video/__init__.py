"""`video`: masks by the box-to-mask network, and its experiments where users' files find them."""
