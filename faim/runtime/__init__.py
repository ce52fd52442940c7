"""A model at work: sources of frames, the memory of a stream, the three modes, sinks."""
