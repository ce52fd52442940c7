"""What a person may choose by name; importing it costs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

#: What runs the networks; "auto" is the fastest that is installed and fits the machine.
BackendName = Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"]
#: What networks compute in; "auto" is the backend's own choice for the machine.
Precision = Literal["auto", "fp32", "bf16", "fp16"]
#: How frames are looked at; "auto" is "stream" for live sources and "global" for files.
ModeName = Literal["auto", "stream", "global", "frame"]
#: How frames help each other, as far as a person chooses; "auto" is the best that weights allow.
Aggregate = Literal["auto", "ticam", "affinity", "none"]
#: Which frames a stream remembers.
PolicyName = Literal["recent", "spread"]
#: What is done with the detections of a video: nothing, REPP on the whole of it, or its causal
#: relative as the frames come; "auto" is causal in streams and REPP over whole videos, where their
#: frames help each other, and nothing otherwise.
PostName = Literal["auto", "none", "repp", "causal"]

#: Most pixels of a side of the network input.
LONGEST_SIDE = 8192
#: Most images that an exported graph takes at once; they are all in memory, with their features.
MOST_BATCH = 256
#: Most threads of a network; libraries crash from some ten thousands on.
MOST_THREADS = 1024
#: What has a colour of its own in drawings.
ColorBy = Literal["class", "track"]
#: Widest line of a drawn box, in pixels.
WIDEST_LINE = 100
#: Names and numbers of classes, mixed; a text holds them between commas.
Classes: TypeAlias = str | int | Iterable[str | int]
