"""Average precision, stability and speed of a checkpoint: the same as `faim eval`."""

import sys

from faim.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", *sys.argv[1:]]))
