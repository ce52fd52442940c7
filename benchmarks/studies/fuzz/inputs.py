"""Sound inputs of every kind, as small as they come; see `subjects.py`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from PIL import Image

from faim.backends.engine_file import EngineTensor, write_engine_file
from faim.backends.info import KEY, ExportInfo
from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, YoloxVideo
from faim.nn.affinity import AffinityEntry
from faim.postprocess.causal_state import CausalState
from faim.stream.state import StreamState

WIDTH, HEIGHT, FRAMES = 64, 48, 4
_ANCHORS = 8 * 8 + 4 * 4 + 2 * 2
_SMALL = FaimConfig(
    variant="nano", class_names=("cat", "dog"), test_size=(64, 64), scale=(0.33, 0.125, True)
)
_INFO = ExportInfo("frame", _SMALL, "none", 1, False, "fp32", {"faim": "0"})


def write_checkpoint(folder: Path) -> None:
    """Our own format: a FAIM of an eighth of YOLOX's width."""
    torch.manual_seed(0)
    save_checkpoint(folder / "weights.safetensors", FAIM(_SMALL))


def write_public(folder: Path) -> None:
    """A `.pth` as YOLOX writes it."""
    torch.manual_seed(0)
    config = FaimConfig(variant="nano", class_names=("cat", "dog"), architecture="yolox")
    state = YoloxVideo(config).detector.state_dict()
    torch.save({"model": state, "start_epoch": 3}, folder / "weights.pth")


def write_state(folder: Path) -> None:
    """A stream's state after three frames."""
    state = StreamState.empty(4)
    for _ in range(3):
        state.bank.append(AffinityEntry(torch.rand(2, 3), torch.rand(2, 2), torch.rand(2)))
    state.frames_seen, state.thumbnail = 3, np.zeros((36, 64, 3), np.uint8)
    boxes = np.array([[1.0, 2.0, 30.0, 40.0]])
    state.post = CausalState.of_frame(boxes, np.array([[0.5, 0.25]]), (HEIGHT, WIDTH))
    state.save(folder / "stream.state")


def write_engine(folder: Path) -> None:
    """An engine file; what TensorRT would read of it is no engine."""
    shape = (1, 64, 64, 3)
    tensor = EngineTensor("images", True, "uint8", shape, shape, shape, shape)
    write_engine_file(folder / "frame.engine", _INFO, (tensor,), b"engine" * 20)


def write_onnx_folder(folder: Path) -> None:
    """A frame graph that finds the same in every image."""
    import onnx
    from onnx import helper, numpy_helper

    shapes = {"boxes": (1, _ANCHORS, 4), "objectness": (1, _ANCHORS),
              "class_scores": (1, _ANCHORS, 2)}  # fmt: skip
    constants = [
        numpy_helper.from_array(np.full(shape, 0.5, np.float32), f"{name}_constant")
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["pixels"], ["darkest"], keepdims=0),
        *(helper.make_node("Add", [f"{name}_constant", "darkest"], [name]) for name in shapes),
    ]
    images = helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, (1, 64, 64, 3))
    outputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(nodes, "frame", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {KEY: _INFO.to_json()})
    onnx.save(model, folder / "frame.onnx")


def write_openvino_folder(folder: Path) -> None:
    """The same graph as OpenVINO's pair of files."""
    from faim.export.openvino import read_onnx, write_openvino

    write_onnx_folder(folder)
    write_openvino(read_onnx(folder / "frame.onnx", "frame"), folder / "frame.xml", _INFO)
    (folder / "frame.onnx").unlink()


@cache
def picture() -> np.ndarray[Any, Any]:
    """(H, W, 3) uint8 with edges and noise in it."""
    image = np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    image[10:30, 20:40] = (40, 120, 220)
    return image


def write_image(path: Path) -> None:
    """The picture as a file, in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture())


def coco_vid() -> dict[str, Any]:
    """CocoVID content: one video of an object with polygon and RLE masks."""
    images = [
        {"id": n, "video_id": 1, "frame_id": n, "file_name": f"{n}.png", "width": WIDTH,
         "height": HEIGHT}
        for n in range(FRAMES)
    ]  # fmt: skip
    masks: list[Any] = [
        [[20.0, 10.0, 40.0, 10.0, 40.0, 30.0]],
        {"size": [HEIGHT, WIDTH], "counts": [490, 20, WIDTH * HEIGHT - 510]},
    ]
    boxes = [
        {"id": n, "image_id": n, "category_id": 3, "bbox": [20.0, 10.0, 20.0, 20.0], "area": 400.0,
         "iscrowd": 0, "instance_id": 1, "segmentation": masks[n % 2]}
        for n in range(FRAMES)
    ]  # fmt: skip
    return {
        "videos": [{"id": 1, "name": "walk", "split": "val"}],
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
    }


def write_annotations(folder: Path) -> None:
    """`annotations.json` with its images."""
    (folder / "annotations.json").write_text(json.dumps(coco_vid()))
    for number in range(FRAMES):
        write_image(folder / f"{number}.png")


def rows() -> list[dict[str, Any]]:
    """COCO's list of results on `coco_vid`."""
    return [
        {"image_id": n, "category_id": 3, "bbox": [20.0, 10.0, 20.0, 20.0], "score": 0.9}
        for n in range(FRAMES)
    ]


def write_results(folder: Path) -> None:
    """`annotations.json` and `results.json`."""
    (folder / "annotations.json").write_text(json.dumps(coco_vid()))
    (folder / "results.json").write_text(json.dumps(rows()))


def write_run_folder(folder: Path) -> None:
    """What `faim eval --out` leaves behind, in `run`."""
    write_annotations(folder)
    run = folder / "run"
    run.mkdir()
    (run / "detections_stream.json").write_text(json.dumps(rows()))
    figures = {"ap": 50.0, "ap50": 80.0, "ms_per_frame": 3.0, "ap_by_class": {"cat": 50.0}}
    about = {"name": "run", "data": "annotations.json", "classes": ["cat", "dog"],
             "modes": {"stream": figures}}  # fmt: skip
    (run / "run.json").write_text(json.dumps(about))
    values = np.random.default_rng(0).random((12, 4))
    labels = np.arange(12) % 2
    np.savez(run / "features.npz", labels=labels, before=values, after=values)


def write_yolo(folder: Path) -> None:
    """The usual layout: images, labels, `data.yaml`."""
    for number in range(3):
        write_image(folder / f"images/train/walk_{number:04}.jpg")
        label = folder / f"labels/train/walk_{number:04}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.125 0.125\n")
    names = "train: images/train\nval: images/train\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
    (folder / "data.yaml").write_text(names)


def write_mot(folder: Path) -> None:
    """One sequence of MOT17."""
    sequence = folder / "train/MOT17-02-FRCNN"
    for number in range(1, 4):
        write_image(sequence / f"img1/{number:06}.jpg")
    (sequence / "gt").mkdir()
    truth = "".join(f"{frame},1,20,10,20,20,1,1,0.9\n" for frame in range(1, 4))
    (sequence / "gt/gt.txt").write_text(truth)
    (sequence / "seqinfo.ini").write_text(
        "[Sequence]\nname=MOT17-02\nimDir=img1\nframeRate=30\nseqLength=3\n"
        f"imWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.jpg\n"
    )


def write_davis(folder: Path) -> None:
    """One sequence with palette masks, in the layouts of 2016 and 2017."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 20:40], mask[35:45, 5:15], mask[:3, :3] = 1, 2, 255
    for number in range(2):
        write_image(folder / f"JPEGImages/480p/walk/{number:05}.jpg")
        path = folder / f"Annotations/480p/walk/{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(mask)
        image.putpalette([(7 * k + 128) % 256 for k in range(768)])
        image.save(path)
    lists = folder / "ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("walk\n")
    labels = {"walk": {"coco": "cat", "vid": None, "clean": True}}
    (folder / "labels.json").write_text(json.dumps(labels))


def write_video(path: Path) -> None:
    """Ten frames in the container of the name, which carries a title."""
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a walk"
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for shift in range(10):
            image = np.roll(picture(), shift, axis=1)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
