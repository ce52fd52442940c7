"""`sam`, by a small network of the library's own classes with random weights."""

import hashlib
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sam_helpers import BOXES, SIZE, blue_frame, masks_of, noise, stir

from faim.errors import FaimError
from faim.masks import sam
from faim.masks.protocol import ArrayFrames
from faim.masks.sam import SamMasks

segment_anything = pytest.importorskip("segment_anything", reason="pip install '.[sam]'")

#: Of the network's input; the longest side of a frame becomes that.
SIDE = 64


def small_sam(width: int = 16, checkpoint: None = None) -> torch.nn.Module:
    from segment_anything import modeling

    encoder = modeling.ImageEncoderViT(
        img_size=SIDE, patch_size=16, embed_dim=width, depth=1, num_heads=2, out_chans=32,
        window_size=0, use_rel_pos=True,
    )  # fmt: skip
    prompts = modeling.PromptEncoder(32, (4, 4), (SIDE, SIDE), 4)
    transformer = modeling.TwoWayTransformer(1, 32, 2, 32)
    decoder = modeling.MaskDecoder(transformer_dim=32, transformer=transformer)
    return modeling.Sam(encoder, prompts, decoder)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for model, width in (("small", 16), ("other", 24)):
        monkeypatch.setitem(sam.WIDTHS, model, width)
        monkeypatch.setitem(segment_anything.sam_model_registry, model, partial(small_sam, width))
    path = tmp_path / "small.pth"
    torch.save(stir(small_sam()).state_dict(), path)
    return path


@pytest.fixture
def frames() -> ArrayFrames:
    return noise(3)


def test_a_batch_gives_what_the_library_gives_box_by_box(
    checkpoint: Path, frames: ArrayFrames
) -> None:
    found = masks_of(SamMasks(checkpoint, batch=2), frames, [BOXES, BOXES[:0], BOXES[:1]])

    network = small_sam()
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    predictor = segment_anything.SamPredictor(network.eval())
    assert sorted(found) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 0)]
    for (frame, index), mask in found.items():
        predictor.set_image(frames[frame], "BGR")
        expected, _, _ = predictor.predict(box=BOXES[index], multimask_output=False)
        assert mask.shape == SIZE
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, expected[0])
        assert 0.02 < mask.mean() < 0.98
    assert (found[0, 0] != found[0, 1]).mean() > 0.01
    assert (found[0, 0] != found[2, 0]).mean() > 0.01


def test_boxes_come_to_the_network_in_its_own_pixels(checkpoint: Path, frames: ArrayFrames) -> None:
    method = SamMasks(checkpoint, batch=2)
    seen = []
    method.predictor.model.prompt_encoder.register_forward_pre_hook(
        lambda _, args, values: seen.append(values["boxes"]), with_kwargs=True
    )
    masks_of(method, frames, [BOXES[:3]])
    assert [len(part) for part in seen] == [2, 1]
    # 96 pixels become 64.
    np.testing.assert_allclose(torch.cat(seen), BOXES[:3] * 2 / 3, rtol=1e-6)


def test_the_image_is_embedded_once_a_frame_and_is_rgb(
    checkpoint: Path, frames: ArrayFrames
) -> None:
    method = SamMasks(checkpoint, batch=1)
    network, seen = method.predictor.model, []
    network.image_encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    masks_of(method, ArrayFrames([blue_frame(), frames[1]]), [BOXES, BOXES[:2]])
    assert [tuple(image.shape) for image in seen] == [(1, 3, SIDE, SIDE)] * 2
    pixel = seen[0][0, :, 5, 5] * network.pixel_std[:, 0, 0] + network.pixel_mean[:, 0, 0]
    np.testing.assert_allclose(pixel, [0, 0, 200], atol=1e-3)


def test_of_three_masks_the_one_thought_best_is_taken(
    checkpoint: Path, frames: ArrayFrames
) -> None:
    method = SamMasks(checkpoint, multimask=True)
    found = masks_of(method, frames, [BOXES])
    method.predictor.set_image(frames[0], "BGR")
    chosen = set()
    for index, box in enumerate(BOXES):
        masks, scores, _ = method.predictor.predict(box=box, multimask_output=True)
        chosen.add(scores.argmax())
        np.testing.assert_array_equal(found[0, index], masks[scores.argmax()])
        assert any((masks[scores.argmax()] != other).any() for other in masks)
    assert chosen


def test_its_parameters_tell_checkpoints_apart(checkpoint: Path) -> None:
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert SamMasks(checkpoint, batch=3, device="cpu").parameters == {
        "checkpoint": "small.pth",
        "sha256": digest,
        "model": "auto",
        "multimask": False,
    }


@pytest.mark.parametrize("given", ["", "nowhere.pth"])
def test_without_a_checkpoint_it_says_where_they_are(given: str) -> None:
    for use in (lambda: SamMasks(given).parameters, lambda: SamMasks(given).predictor):
        with pytest.raises(FaimError, match=r"expected sam_vit_h_4b8939.pth.*github.com/facebook"):
            use()


def test_a_checkpoint_of_another_model_is_told(checkpoint: Path) -> None:
    with pytest.raises(FaimError, match="weights of small; expected model=small, or those of oth"):
        _ = SamMasks(checkpoint, model="other").predictor


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no pickle", "not a checkpoint, or one with more than numbers.*expected sam_vit_h"),
        (b"", "the file is empty; expected sam_vit_h"),
        ({"weight": 3}, "holds no weights by name"),
        ({}, "holds no weights by name"),
        ({"weight": torch.zeros(3)}, "no weights of Segment Anything"),
        (
            {"image_encoder.pos_embed": torch.zeros(1, 4, 4, 16)},
            r"weight \S+ is missing; expected weights of small",
        ),
        ({"image_encoder.pos_embed": torch.full((1, 4, 4, 16), torch.nan)}, "weights are not fin"),
        ({"code": Path("a")}, "more than numbers"),
    ],
)
def test_files_that_are_no_checkpoint(checkpoint: Path, content: object, message: str) -> None:
    if isinstance(content, bytes):
        checkpoint.write_bytes(content)
    else:
        torch.save(content, checkpoint)
    with pytest.raises(FaimError, match=message):
        _ = SamMasks(checkpoint).predictor


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 0}, "batch is 0; expected at least 1"),
        ({"model": "vit_x"}, "model is 'vit_x'; expected one of auto, vit_b, vit_l, vit_h"),
    ],
)
def test_values_out_of_range(values: dict, message: str) -> None:
    with pytest.raises(FaimError, match=message):
        SamMasks("a.pth", **values)


def test_without_the_library_it_names_the_extra(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(FaimError, match=r"segment-anything is not installed.*'\.\[sam\]'"):
        _ = SamMasks(checkpoint).predictor
