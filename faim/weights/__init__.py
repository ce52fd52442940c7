"""The checkpoint that comes with the package."""

from pathlib import Path

from faim.errors import FaimError

EMBEDDED = "faim_nano_synthvid.safetensors"


def default_weights() -> Path:
    """FAIM-Nano, trained on SynthVID: in an installed package beside this file, else in `weights/`.

    Raises:
        FaimError: the installation is not whole.

    Example:
        >>> default_weights().name
        'faim_nano_synthvid.safetensors'
    """
    here = Path(__file__).resolve().parent
    for folder in (here, here.parents[1] / "weights"):
        if (folder / EMBEDDED).is_file():
            return folder / EMBEDDED
    raise FaimError(f"{here / EMBEDDED}: the embedded checkpoint is missing; install faim again")
