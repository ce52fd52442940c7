"""How good masks are against true ones: region overlap and boundaries, by object and sequence."""
