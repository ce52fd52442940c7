"""Whether weights can know real things, by the classes that they were trained on."""

from __future__ import annotations

from collections.abc import Sequence


def knows_patterns_alone(class_names: Sequence[str]) -> bool:
    """Whether all classes are textures of SynthVID, the generator's own synthetic video.

    Example:
        >>> knows_patterns_alone(("stripes", "dots")), knows_patterns_alone(("stripes", "zebra"))
        (True, False)
    """
    from faim.data.synth import CLASS_NAMES

    return bool(class_names) and set(class_names) <= set(CLASS_NAMES)


def patterns_alone(class_names: Sequence[str]) -> str:
    """The sentence that says so, and names the way to weights that know more."""
    shown = ", ".join(class_names[:3]) + (" …" if len(class_names) > 3 else "")
    return (
        f"these weights know synthetic patterns ({shown}), no real objects; for real video name "
        'others: --weights yolox_s, in Python faim.load("yolox_s")'
    )
