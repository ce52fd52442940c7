"""Where networks run."""

from __future__ import annotations

import torch

from faim.errors import FaimError

#: Kinds of devices that networks run on; torch has others, such as "meta", which holds no numbers.
_DEVICES = ("cpu", "cuda", "mps", "xpu")


def resolve_device(device: str | torch.device) -> torch.device:
    """The device meant; "auto" is a GPU where there is one.

    Raises:
        FaimError: there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type not in _DEVICES:
            raise TypeError(f"{chosen.type} computes nothing")
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise FaimError(
            f"device: {str(device)!r} cannot be used here; expected auto, cpu or a GPU that torch "
            "can see (cuda, cuda:1, mps)"
        ) from error
    return chosen
