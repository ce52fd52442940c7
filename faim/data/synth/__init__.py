"""SynthVID: a deterministic generator of labelled video.

An object's class shows in its fine texture alone, which blur, darkness, occlusion and unusual
poses wipe out for runs of frames; its silhouette and colours stay, so that a frame nearby tells
what it is.
"""

from faim.data.synth.textures import CLASS_NAMES
from faim.data.synth.writer import generate

__all__ = ["CLASS_NAMES", "generate"]
