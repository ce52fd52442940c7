"""YOLOX, and the video methods on top of it: FAIM and YOLOV."""
