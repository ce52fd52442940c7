"""`sam-hf`, by small networks of the library's own classes with random weights."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sam_helpers import BOXES, SIZE, blue_frame, masks_of, noise, stir

from faim.errors import FaimError
from faim.masks.protocol import ArrayFrames
from faim.masks.transformers_sam import TransformersSamMasks

transformers = pytest.importorskip("transformers", reason="pip install '.[transformers]'")

SIDE = 64


def small_sam() -> Any:
    settings = transformers.SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 32, "num_hidden_layers": 1, "image_size": SIDE,
            "num_attention_heads": 2, "window_size": 0, "num_pos_feats": 16, "mlp_dim": 32,
            "global_attn_indexes": [0],
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": SIDE, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
    )  # fmt: skip
    network = stir(transformers.SamModel(settings))
    images = transformers.SamImageProcessor(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
    )
    return network, transformers.SamProcessor(images)


def small_sam2() -> Any:
    settings = transformers.Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model", "hidden_size": 16, "image_size": [SIDE, SIDE],
                "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [16, 32, 64, 128],
                "num_attention_heads_per_stage": [1, 2, 4, 8], "global_attention_blocks": [3],
                "window_positional_embedding_background_size": [2, 2],
            },
            "backbone_channel_list": [128, 64, 32, 16],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": SIDE},
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32,
        },
    )  # fmt: skip
    network = stir(transformers.Sam2Model(settings))
    images = transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    return network, transformers.Sam2Processor(images)


@pytest.fixture(params=[small_sam, small_sam2])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for part in request.param():
        part.save_pretrained(tmp_path / "small")
    return tmp_path / "small"


def test_a_batch_gives_what_the_library_gives_box_by_box(folder: Path) -> None:
    frames = noise(3)
    found = masks_of(TransformersSamMasks(folder, batch=2), frames, [BOXES, BOXES[:0], BOXES[:1]])

    network, processor = TransformersSamMasks(folder).loaded
    assert sorted(found) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 0)]
    for (frame, index), mask in found.items():
        image = Image.fromarray(np.ascontiguousarray(frames[frame][..., ::-1]))
        inputs = processor(image, input_boxes=[[BOXES[index].tolist()]], return_tensors="pt")
        inputs["input_boxes"] = inputs["input_boxes"].float()
        with torch.inference_mode():
            out = network(**inputs, multimask_output=False)
        sizes = [inputs[key] for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
        [expected] = processor.post_process_masks(out.pred_masks, *sizes)
        assert mask.shape == SIZE
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, expected[0, 0])
        assert 0.002 < mask.mean() < 0.998
    assert (found[0, 0] != found[0, 1]).mean() > 0.01
    assert (found[0, 0] != found[2, 0]).mean() > 0.001


def test_boxes_come_to_the_network_in_its_own_pixels(folder: Path) -> None:
    method = TransformersSamMasks(folder, batch=2)
    network, _ = method.loaded
    seen: list[torch.Tensor] = []
    network.prompt_encoder.register_forward_pre_hook(
        lambda _, args, values: seen.append(values["input_boxes"]), with_kwargs=True
    )
    masks_of(method, noise(1), [BOXES[:3]])
    assert [tuple(part.shape) for part in seen] == [(1, 2, 4), (1, 1, 4)]
    # SAM keeps the shape, 96 pixels become 64; SAM 2 stretches to a square.
    across, down = SIDE / SIZE[1], SIDE / SIZE[0]
    if network.config.model_type == "sam":
        down = across
    expected = BOXES[:3] * np.array([across, down] * 2)
    np.testing.assert_allclose(torch.cat(seen, dim=1)[0], expected, rtol=1e-5)


def test_frames_are_embedded_once_and_as_rgb(folder: Path) -> None:
    method = TransformersSamMasks(folder, batch=1)
    network, processor = method.loaded
    seen: list[torch.Tensor] = []
    network.vision_encoder.register_forward_pre_hook(
        lambda _, args, values: seen.append(args[0] if args else values["pixel_values"]),
        with_kwargs=True,
    )
    frames = ArrayFrames([blue_frame(), *noise(1).images])
    masks_of(method, frames, [BOXES, BOXES[:2]])
    assert [tuple(image.shape) for image in seen] == [(1, 3, SIDE, SIDE)] * 2
    images = processor.image_processor
    pixel = seen[0][0, :, 9, 9].numpy() * np.array(images.image_std) + np.array(images.image_mean)
    np.testing.assert_allclose(pixel * 255, [0, 0, 200], atol=1e-3)


def test_its_parameters_change_with_the_weights(tmp_path: Path) -> None:
    network, processor = small_sam()
    found = []
    for factor in (1.0, 2.0):
        with torch.no_grad():
            network.mask_decoder.iou_token.weight.mul_(factor)
        for part in (network, processor):
            part.save_pretrained(tmp_path / "small")
        found.append(TransformersSamMasks(tmp_path / "small").parameters)
    assert [each["checkpoint"] for each in found] == ["small", "small"]
    assert found[0]["sha256"] != found[1]["sha256"]
    assert TransformersSamMasks().parameters == {"checkpoint": "facebook/sam-vit-base"}


def changed(folder: Path, what: str) -> None:
    if what == "no settings":
        (folder / "config.json").unlink()
    elif what == "no processor":
        for file in folder.glob("*processor*.json"):
            file.unlink()
    elif what == "broken weights":
        (folder / "model.safetensors").write_bytes(b"broken")
    elif what == "fewer weights":
        from safetensors.torch import load_file, save_file

        state = load_file(folder / "model.safetensors")
        fewer = {name: value for name, value in state.items() if "iou_token" not in name}
        save_file(fewer, folder / "model.safetensors", {"format": "pt"})
    else:
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**settings, "model_type": what}))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no settings", "cannot be loaded .*expected the name of a SAM"),
        ("no processor", "cannot be loaded .*expected the name of a SAM"),
        ("broken weights", "cannot be loaded .*expected the name of a SAM"),
        ("fewer weights", "1 weights are missing, mask_decoder.iou_token.weight for one"),
        ("vit", "a network of type vit; expected the name of a SAM"),
        ("nothing known", "cannot be loaded .*expected the name of a SAM"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, what: str, message: str) -> None:
    for part in small_sam():
        part.save_pretrained(tmp_path)
    changed(tmp_path, what)
    with pytest.raises(FaimError, match=message) as caught:
        _ = TransformersSamMasks(tmp_path).loaded
    assert "\n" not in str(caught.value)


def test_a_name_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*names: Sequence[str]) -> None:
        raise OSError("We couldn't connect to the hub\nCheck your internet.")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", fail)
    with pytest.raises(FaimError, match=r"sam-vit-base: cannot be loaded \(We couldn't connect to"):
        _ = TransformersSamMasks().loaded


def test_values_out_of_range() -> None:
    with pytest.raises(FaimError, match="batch is 0; expected at least 1"):
        TransformersSamMasks(batch=0)


def test_without_the_library_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(FaimError, match=r"transformers is not installed.*'\.\[transformers\]'"):
        _ = TransformersSamMasks().loaded
