"""Detect in a video, folder, glob or camera: the same as `faim predict`."""

import sys

from faim.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
