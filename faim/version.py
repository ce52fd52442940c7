"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError, version

from faim.extras import DISTRIBUTION

try:
    __version__ = version(DISTRIBUTION)
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
