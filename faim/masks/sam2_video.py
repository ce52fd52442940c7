"""Segment Anything 2 along the tracks of a video, one frame after the other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from faim.masks.prompts import to_rgb
from faim.masks.protocol import Boxes, Frames, ObjectMask

#: Boxes of a track that its memory keeps; the library would keep, and look at, all of them.
_PROMPTS_KEPT = 4
#: Parts of the library's state of a video that begin empty.
_EMPTY_AT_FIRST = (
    "cached_features",
    "constants",
    "point_inputs_per_obj",
    "mask_inputs_per_obj",
    "output_dict_per_obj",
    "temp_output_dict_per_obj",
    "frames_tracked_per_obj",
)


@dataclass(frozen=True)
class Followed:
    """The tracks of one video.

    Attributes:
        frames: n of them.
        boxes: n arrays (k, 4), x1 y1 x2 y2 in pixels.
        tracks: for each frame, the tracks in it and the numbers of their boxes.
    """

    frames: Frames
    boxes: Sequence[Boxes]
    tracks: Sequence[Mapping[int, int]]

    @cached_property
    def last(self) -> dict[int, int]:
        """The last frame of each track."""
        return {track: index for index, here in enumerate(self.tracks) for track in here}


@dataclass(frozen=True)
class _Inputs:
    """The frames as the network takes them, made when it asks; in place of the library's list."""

    frames: Frames
    transforms: Callable[[Any], Tensor]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Tensor:
        return self.transforms(to_rgb(self.frames[index]))


def follow(
    network: Any, transforms: Callable[[Any], Tensor], video: Followed, prompt_every: int
) -> Iterator[ObjectMask]:
    """The masks of all boxes whose track is known, frame by frame.

    A frame is embedded once, one without such boxes not at all, and only what later frames look at
    is kept: neither images nor memory grow with the video.

    Args:
        network: the library's `SAM2VideoPredictor`.
        transforms: from an RGB image to the network's input (3, S, S).
        video: what to follow.
        prompt_every: frames from one box of a track that is used to the next.
    """
    if not video.last:
        return
    start = next(index for index, here in enumerate(video.tracks) if here)
    state = _new_state(network, _Inputs(video.frames, transforms), video.frames.sizes[start])
    prompted: dict[int, int] = {}
    for index in range(start, max(video.last.values()) + 1):
        here, boxes = video.tracks[index], video.boxes[index]
        if not here:
            continue
        state["video_height"], state["video_width"] = video.frames.sizes[index]
        for track, number in here.items():
            if index - prompted.get(track, -prompt_every) >= prompt_every:
                network.add_new_points_or_box(state, index, track, box=boxes[number])
                prompted[track] = index
        for track, logits in _step(network, state, index):
            if track in here:
                yield ObjectMask(index, here[track], (logits[0] > 0).cpu().numpy())
        for track in [track for track in here if video.last[track] == index]:
            network.remove_object(state, track, need_output=False)
        _forget(network, state, index)


def _new_state(network: Any, inputs: _Inputs, size: tuple[int, int]) -> dict[str, Any]:
    """The state that `network.init_state` makes, which would first read all frames from a folder.

    Args:
        network: the library's `SAM2VideoPredictor`.
        inputs: the frames.
        size: height and width in pixels of the masks to come.
    """
    state: dict[str, Any] = {name: {} for name in _EMPTY_AT_FIRST}
    return {
        **state,
        "images": inputs,
        "num_frames": len(inputs),
        "video_height": size[0],
        "video_width": size[1],
        "offload_video_to_cpu": True,
        "offload_state_to_cpu": True,
        "device": network.device,
        "storage_device": torch.device("cpu"),
        "obj_id_to_idx": OrderedDict(),
        "obj_idx_to_id": OrderedDict(),
        "obj_ids": [],
    }


@torch.inference_mode()
def _step(network: Any, state: dict[str, Any], index: int) -> list[tuple[int, Tensor]]:
    """One frame further: the state's tracks with their logits (1, H, W) there.

    What `network.propagate_in_video` does in a frame, which has a progress bar for every call.
    """
    network.propagate_in_video_preflight(state)
    found = []
    for number, track in state["obj_idx_to_id"].items():
        outputs = state["output_dict_per_obj"][number]
        if index in outputs["cond_frame_outputs"]:
            logits = outputs["cond_frame_outputs"][index]["pred_masks"].to(network.device)
        else:
            out, logits = network._run_single_frame_inference(
                inference_state=state,
                output_dict=outputs,
                frame_idx=index,
                batch_size=1,
                is_init_cond_frame=False,
                point_inputs=None,
                mask_inputs=None,
                reverse=False,
                run_mem_encoder=True,
            )
            outputs["non_cond_frame_outputs"][index] = out
        state["frames_tracked_per_obj"][number][index] = {"reverse": False}
        _, [whole] = network._get_orig_video_res_output(state, logits)
        found.append((track, whole))
    return found


def _forget(network: Any, state: dict[str, Any], index: int) -> None:
    """Drop what no frame after `index` looks at, and all but the latest prompts of each track."""
    memory = network.num_maskmem * network.memory_temporal_stride_for_eval
    oldest = index + 1 - max(memory, network.max_obj_ptrs_in_encoder)
    for number, outputs in state["output_dict_per_obj"].items():
        prompts = sorted(outputs["cond_frame_outputs"])
        for frame in prompts[:-_PROMPTS_KEPT]:
            del outputs["cond_frame_outputs"][frame]
        for frame in [frame for frame in outputs["non_cond_frame_outputs"] if frame < oldest]:
            del outputs["non_cond_frame_outputs"][frame]
        tracked = state["frames_tracked_per_obj"][number]
        for frame in [frame for frame in tracked if frame < oldest]:
            del tracked[frame]
