"""A checkpoint as ONNX, OpenVINO or TensorRT files: the same as `faim export`."""

import sys

from faim.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
