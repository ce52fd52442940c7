"""Make masks from boxes: the same as `faim masks`."""

import sys

from faim.cli import main

if __name__ == "__main__":
    sys.exit(main(["masks", *sys.argv[1:]]))
