"""How good the detections are: average precision, stability over time, and speed."""
