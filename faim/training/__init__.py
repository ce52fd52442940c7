"""Training: experiments, the two stages, and the loop around them (Lightning)."""
