"""The networks: the paper's modules, one a file, and what assembles them."""
