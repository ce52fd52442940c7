"""Train a base detector or FAIM: the same as `faim train`."""

import sys

from faim.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
