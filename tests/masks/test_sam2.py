"""`sam2`, by a small network of the library's own classes with random weights."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from sam_helpers import BOXES, SIZE, blue_frame, masks_of, noise, stir

from faim.errors import FaimError
from faim.masks import sam2_video
from faim.masks.protocol import ArrayFrames
from faim.masks.sam2 import Sam2Masks

build_sam = pytest.importorskip("sam2.build_sam", reason="pip install '.[sam2]'")

#: Of the network's input, to which frames are stretched.
SIDE = 64
SQUARE = (SIDE, SIDE)


def small_settings() -> Any:
    """Those of the smallest model, made smaller still."""
    import sam2
    from omegaconf import OmegaConf

    folder = Path(sam2.__file__).parent / "configs" / "sam2.1"
    settings = OmegaConf.load(folder / "sam2.1_hiera_t.yaml")
    model = settings.model
    model.image_size = SIDE
    trunk, neck = model.image_encoder.trunk, model.image_encoder.neck
    trunk.update(embed_dim=16, stages=[1, 1, 2, 1], global_att_blocks=[3])
    trunk.window_pos_embed_bkg_spatial_size = [2, 2]
    neck.update(d_model=32, backbone_channel_list=[128, 64, 32, 16])
    neck.position_encoding.num_pos_feats = 32
    memory = model.memory_attention
    memory.update(d_model=32, num_layers=1)
    memory.layer.update(d_model=32, dim_feedforward=64)
    for attention in (memory.layer.self_attention, memory.layer.cross_attention):
        attention.update(embedding_dim=32, feat_sizes=[4, 4])
    memory.layer.cross_attention.kv_in_dim = 16
    encoder = model.memory_encoder
    encoder.out_dim = encoder.position_encoding.num_pos_feats = 16
    encoder.fuser.layer.dim = 32
    OmegaConf.update(encoder, "in_dim", 32, force_add=True)
    OmegaConf.update(encoder.mask_downsampler, "embed_dim", 32, force_add=True)
    return settings


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("small_sam2", small_settings())
    torch.manual_seed(0)
    network = stir(build_sam.build_sam2("small_sam2", device="cpu"))
    with torch.no_grad():  # else the network takes everything for hidden
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(100)
    return network.state_dict()


@pytest.fixture
def checkpoint(
    weights: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    names = build_sam.HF_MODEL_ID_TO_FILENAMES
    monkeypatch.setitem(names, "facebook/small", ("small_sam2", "small.pt"))
    path = tmp_path / "small.pt"
    torch.save({"model": weights}, path)
    return path


@pytest.fixture
def method(checkpoint: Path) -> Sam2Masks:
    return Sam2Masks(checkpoint, batch=2, prompt_every=4)


def by_the_library(
    network: Any, folder: Path, frames: ArrayFrames, prompts: dict[int, np.ndarray], last: int
) -> dict[int, np.ndarray]:
    """One track by the library's own way: a folder of all frames, and propagation in stretches.

    `prompts` are boxes by frame.
    """
    folder.mkdir()
    for index, image in enumerate(frames.images):  # PNG by content: nothing is lost
        (folder / f"{index}.jpg").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    state = network.init_state(str(folder))
    found = {}
    starts = sorted(prompts)
    for start, end in zip(starts, [*starts[1:], last + 1], strict=True):
        network.add_new_points_or_box(state, start, 1, box=prompts[start])
        for index, _, logits in network.propagate_in_video(state, start, end - 1 - start):
            found[index] = (logits[0, 0] > 0).numpy()
    return found


def test_boxes_alone_give_what_the_library_gives_box_by_box(method: Sam2Masks) -> None:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    method.video = False
    frames = noise(3)
    found = masks_of(method, frames, [BOXES, BOXES[:0], BOXES[:1]], [[1, 2, 3, 4, 5], [], [1]])

    assert sorted(found) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 0)]
    alone = SAM2ImagePredictor(method.network)
    alone._bb_feat_sizes = [(16, 16), (8, 8), (4, 4)]
    for (frame, index), mask in found.items():
        alone.set_image(np.ascontiguousarray(frames[frame][..., ::-1]))
        expected, _, _ = alone.predict(box=BOXES[index], multimask_output=False)
        assert mask.shape == SIZE
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, expected[0] > 0)
        assert 0.02 < mask.mean() < 0.98
    assert (found[0, 0] != found[0, 1]).mean() > 0.01
    assert (found[0, 0] != found[2, 0]).mean() > 0.01


def test_a_track_is_followed_as_the_library_follows_it(method: Sam2Masks, tmp_path: Path) -> None:
    # Longer than all that the library looks back at, in frames and in prompts.
    count = 14
    method.prompt_every = 4
    frames = noise(count, SQUARE)
    moving = [np.array([[4.0 + t, 6, 30 + t, 40]]) for t in range(count)]

    found = masks_of(method, frames, moving, [[7]] * count)

    prompts = {t: moving[t][0] for t in (0, 4, 8, 12)}
    expected = by_the_library(method.network, tmp_path / "video", frames, prompts, count - 1)
    assert sorted(expected) == list(range(count))
    for index, mask in expected.items():
        np.testing.assert_array_equal(found[index, 0], mask)
    assert len({mask.tobytes() for mask in expected.values()}) > count / 2


def test_the_state_is_what_the_library_begins_with(method: Sam2Masks, tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(cv2.imencode(".png", noise(1)[0])[1].tobytes())
    network = method.network
    theirs = network.init_state(str(tmp_path), offload_video_to_cpu=True, offload_state_to_cpu=True)
    inputs = sam2_video._Inputs(noise(1), method.predictor._transforms)
    ours = sam2_video._new_state(network, inputs, SIZE)
    assert ours.keys() == theirs.keys()
    for name in theirs.keys() - {"images", "cached_features"}:
        assert (ours[name], type(ours[name])) == (theirs[name], type(theirs[name])), name
    assert ours["images"][0].shape == theirs["images"][0].shape


def test_what_is_forgotten_is_not_looked_at(
    method: Sam2Masks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 24
    method.prompt_every = 100
    frames = noise(count, SQUARE)
    boxes = [BOXES[:1]] * count
    kept = []
    forget = sam2_video._forget

    def spy(network: Any, state: dict[str, Any], index: int) -> None:
        forget(network, state, index)
        kept.extend(len(o["non_cond_frame_outputs"]) for o in state["output_dict_per_obj"].values())

    monkeypatch.setattr(sam2_video, "_forget", spy)
    found = masks_of(method, frames, boxes, [[7]] * count)

    assert max(kept) == method.network.max_obj_ptrs_in_encoder == 16
    prompt = {0: BOXES[0]}
    expected = by_the_library(method.network, tmp_path / "video", frames, prompt, count - 1)
    for index in range(count):
        np.testing.assert_array_equal(found[index, 0], expected[index])


def test_tracks_do_not_disturb_each_other(method: Sam2Masks) -> None:
    frames = noise(6)
    # Track 1 all the time, track 2 in frames 2 to 4, track 3 in frame 0 only; one box without.
    boxes = [BOXES[[0, 2]], BOXES[:1], BOXES[:2], BOXES[[1, 0]], BOXES[[0, 1, 4]], BOXES[:1]]
    ids = [[1, 3], [1], [1, 2], [2, 1], [1, 2, -1], [1]]

    together = masks_of(method, frames, boxes, ids)

    for track in (1, 2, 3):
        mine = [[n for n, one in enumerate(here) if one == track] for here in ids]
        alone = masks_of(
            method,
            frames,
            [here[rows] for here, rows in zip(boxes, mine, strict=True)],
            [[track] * len(rows) for rows in mine],
        )
        for frame, rows in enumerate(mine):
            for row in rows:
                np.testing.assert_array_equal(together[frame, row], alone[frame, 0])
    np.testing.assert_array_equal(
        together[4, 2], masks_of(method, ArrayFrames([frames[4]]), [BOXES[4:]])[0, 0]
    )


def test_prompts_are_set_when_they_are_due_and_in_the_networks_pixels(method: Sam2Masks) -> None:
    seen = []
    method.network.sam_prompt_encoder.register_forward_pre_hook(
        lambda _, args, values: seen.append(values["points"]), with_kwargs=True
    )
    method.prompt_every = 3
    ids: Sequence[Sequence[int]] = [[1], [1, 2], [1], [2], [1, 2], [1]]
    boxes = [BOXES[here] for here in ids]
    masks_of(method, noise(6), boxes, ids)

    told = [
        (points.reshape(4).numpy(), labels.tolist())
        for points, labels in seen
        if points.shape == (1, 2, 2)
    ]
    # Track 1 at 0, and at 4, as it is not in frame 3; track 2 at 1 and 4.
    stretch = np.array([SIDE / SIZE[1], SIDE / SIZE[0]] * 2)
    assert len(told) == 4
    for (points, labels), track in zip(told, (1, 2, 1, 2), strict=True):
        np.testing.assert_allclose(points, BOXES[track] * stretch, rtol=1e-5)
        assert labels == [[2, 3]]


def test_frames_are_embedded_once_and_as_rgb(method: Sam2Masks) -> None:
    seen = []
    method.network.image_encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    frames = ArrayFrames([blue_frame(), *noise(3).images])
    ids: Sequence[Sequence[int]] = [[1, 2], [1], [], [1, 2]]
    boxes = [BOXES[here] for here in ids]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for video, embedded in ((True, 3), (False, 3)):
        seen.clear()
        method.video = video
        masks_of(method, frames, boxes, ids)
        assert [tuple(image.shape) for image in seen] == [(1, 3, SIDE, SIDE)] * embedded
        pixel = seen[0][0, :, 9, 9].numpy() * std + mean
        np.testing.assert_allclose(pixel * 255, [0, 0, 200], atol=1e-3)


def test_a_track_twice_in_a_frame_and_frames_of_two_sizes(method: Sam2Masks) -> None:
    frames = ArrayFrames([*noise(1).images, *noise(1, (40, 30)).images])
    boxes = [BOXES[:2], np.array([[2.0, 3, 20, 30]])]
    found = masks_of(method, frames, boxes, [[1, 1], [1]])
    alone = masks_of(method, frames, [BOXES[1:2], boxes[1][:0]])
    np.testing.assert_array_equal(found[0, 1], alone[0, 0])
    assert found[1, 0].shape == (40, 30)


def test_nothing_to_do(method: Sam2Masks) -> None:
    assert masks_of(method, noise(2), [BOXES[:0]] * 2) == {}


def test_a_name_on_the_hub_is_downloaded(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = []

    def download(**what: str) -> str:
        asked.append(what)
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert Sam2Masks("facebook/small").network.image_size == SIDE
    assert asked == [{"repo_id": "facebook/small", "filename": "small.pt"}]

    def fail(**what: str) -> str:
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(FaimError, match=r"facebook/small: cannot be downloaded.*huggingface.co"):
        _ = Sam2Masks("facebook/small").network


def test_a_checkpoint_that_does_not_fit(checkpoint: Path) -> None:
    with pytest.raises(FaimError, match=r"weight .*; expected .*weights of sam2.1_hiera_tiny"):
        _ = Sam2Masks(checkpoint, model="sam2.1_hiera_tiny").network
    other = checkpoint.rename(checkpoint.with_name("mine.pt"))
    with pytest.raises(FaimError, match=r"name does not tell the model.*sam2.1_hiera_large"):
        _ = Sam2Masks(other).network
    with pytest.raises(FaimError, match="model=small_x; expected model=…, one of sam2_hiera_tiny"):
        _ = Sam2Masks(other, model="small_x").network
    with pytest.raises(FaimError, match=r"small.pt: no such file; expected a file such as sam2.1"):
        _ = Sam2Masks(checkpoint).network
    assert Sam2Masks(other, model="small").network.image_size == SIDE


def test_its_parameters(checkpoint: Path) -> None:
    assert Sam2Masks().parameters == {
        "checkpoint": "facebook/sam2.1-hiera-large",
        "model": "auto",
        "video": True,
        "prompt_every": 8,
    }
    found = Sam2Masks(checkpoint, video=False).parameters
    assert found.keys() == {"checkpoint", "sha256", "model", "video"}
    assert found["checkpoint"] == "small.pt"


@pytest.mark.parametrize("field", ["batch", "prompt_every"])
def test_values_out_of_range(field: str) -> None:
    with pytest.raises(FaimError, match=f"{field} is 0; expected at least 1"):
        Sam2Masks(**{field: 0})


def test_without_the_library_it_names_the_extra(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sam2.build_sam", None)
    with pytest.raises(FaimError, match=r"package sam2 is not installed.*'\.\[sam2\]'"):
        _ = Sam2Masks(checkpoint).network
