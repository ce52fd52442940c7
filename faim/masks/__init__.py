"""Instance masks from boxes: one protocol, one file a method."""
