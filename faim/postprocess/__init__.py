"""Post-processing of a video's detections: REPP, and a causal relative of it for streams."""
