"""Results in the formats that other tools read, one file a format; each is a `Sink`.

Formats of lines grow frame by frame and are whole at any moment. Those that are one document (COCO,
CVAT, Label Studio) are written at `close`, also after an error or Ctrl-C, in the place of an older
file and all at once. Without a single frame no file is made or replaced.
"""
