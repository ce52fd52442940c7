"""Everything that reads a file of somebody else's, with sound inputs and ways to damage them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

from rich.console import Console

from studies.fuzz import inputs
from studies.fuzz.mutations import (
    Damage,
    damage_arrays,
    damage_bytes,
    damage_engine,
    damage_framed,
    damage_json,
    damage_onnx,
    damage_png,
    damage_state_dict,
    damage_text,
)

#: By pattern of the file: what may be done to it.
Ways = Mapping[str, Sequence[Damage]]


class Loader(Protocol):
    """Reads the damaged input in a folder as a command would."""

    def __call__(self, folder: Path) -> object:
        """FaimError where the input is wrong; anything else that comes out is a fault."""


@dataclass(frozen=True)
class Subject:
    """One kind of input.

    Attributes:
        name: of the kind.
        write: writes a sound input into an empty folder.
        ways: see `Ways`; the first pattern is damaged as often as all others together.
        read: what is tried.
    """

    name: str
    write: Callable[[Path], None]
    ways: Ways
    read: Loader

    def damage(self, random: Random, folder: Path) -> str:
        """Change one file of the sound input in `folder`; says which, and how."""
        patterns = list(self.ways)
        pattern = patterns[0] if random.random() < 0.5 else random.choice(patterns)
        path = random.choice(sorted(folder.glob(pattern)))
        way = random.choice(self.ways[pattern])
        path.write_bytes(way(random, path.read_bytes()))
        return f"{path.relative_to(folder)} {way.__name__.removeprefix('damage_')}"


def _weights(folder: Path) -> object:
    from faim.families.yolox.checkpoint import load_model

    (path,) = folder.iterdir()
    return load_model(path)


def _state(folder: Path) -> object:
    from faim.stream.state import StreamState

    return StreamState.load(folder / "stream.state").copy()


def _engine(folder: Path) -> object:
    from faim.backends.engine_file import read_engine_file

    return read_engine_file(folder / "frame.engine")


def _exported(backend: Any) -> Loader:
    def read(folder: Path) -> object:
        from faim.runtime.pipeline import Detector
        from faim.runtime.select import BackendOptions, open_detector

        model = open_detector(folder, BackendOptions(backend, threads=1))
        return Detector(model).predict([inputs.picture()])

    return read


def _results(folder: Path) -> object:
    from faim.data.coco_vid import CocoVid
    from faim.evaluation.average_precision import evaluate_ap
    from faim.evaluation.results_file import read_detections

    data = CocoVid(folder / "annotations.json")
    return evaluate_ap(data, read_detections(folder / "results.json", data))


def _coco_vid(folder: Path) -> object:
    from faim.data.coco_vid import CocoVid

    CocoVid(folder / "annotations.json").check(num_classes=None, masks_required=True)
    return None


def _data_check(folder: Path) -> object:
    from faim.data.check import run_check

    console = Console(quiet=True)
    return run_check(folder / "annotations.json", sheet=folder / "sheet.png", console=console)


def _masks(folder: Path) -> object:
    from faim.masks.evaluation.evaluate import evaluate_masks

    return evaluate_masks(folder / "annotations.json", folder / "annotations.json")


def _converted(kind: str, *options: str) -> Loader:
    def read(folder: Path) -> object:
        from faim.cli import build_parser

        out = ["--out", str(folder / "out.json"), "--workers", "0"]
        parsed = build_parser().parse_args(["data", "convert", kind, str(folder), *out, *options])
        return parsed.run(parsed)

    return read


def _image(folder: Path) -> object:
    from faim.pictures.reading import image_size, read_image

    (path,) = folder.iterdir()
    image_size(path)
    read_image(path)
    return _frames(folder)


def _frames(folder: Path) -> object:
    from faim.runtime.sources import open_source

    (path,) = folder.iterdir()
    with open_source(path) as source:
        return sum(frame.image.size for frame in source)


def _overrides(folder: Path) -> object:
    from faim.experiments.file import load_any_experiment
    from faim.experiments.overrides import apply_overrides

    experiment = load_any_experiment("exps/faim_nano.py")
    text = (folder / "overrides").read_bytes().decode(errors="surrogateescape")
    apply_overrides(experiment, text.splitlines())
    experiment.validate()
    return None


def _pair_model(folder: Path) -> object:
    from faim.postprocess.pairs import PairModel

    return PairModel.from_json(folder / "pairs.json")


def _report(folder: Path) -> object:
    from faim.report.page import ReportOptions, run_report

    options = ReportOptions(
        runs=(folder / "run",), out=folder / "report.html", data=folder / "annotations.json"
    )
    return run_report(options)


def _write_overrides(folder: Path) -> None:
    (folder / "overrides").write_text(
        "max_epochs=3\nmodel.num_proposals=50\nmodel.test_size=(64,64)\nmodel.mask_levels=P5\n"
        "model.nms_test=0.5\nmodel.guide_ins=true\nname=walk\nsizes=(64,96)\nseed=1\n"
    )


def _write_pair_model(folder: Path) -> None:
    from faim.postprocess.pairs import PairModel

    PairModel().to_json(folder / "pairs.json")


def _of_file(write: Callable[[Path], None], name: str) -> Callable[[Path], None]:
    return lambda folder: write(folder / name)


_HEADED: Ways = {"*": (damage_framed, damage_framed, damage_bytes)}
_JSON: Sequence[Damage] = (damage_json, damage_json, damage_json, damage_bytes)
_TEXT: Sequence[Damage] = (damage_text, damage_text, damage_text, damage_bytes)
_BYTES: Sequence[Damage] = (damage_bytes,)


def _of_models() -> Iterator[Subject]:
    yield Subject("weights .safetensors", inputs.write_checkpoint, _HEADED, _weights)
    pth: Ways = {"*": (damage_state_dict, damage_state_dict, damage_bytes)}
    yield Subject("weights .pth", inputs.write_public, pth, _weights)
    yield Subject("stream state", inputs.write_state, _HEADED, _state)
    engine: Ways = {"*": (damage_engine, damage_bytes)}
    yield Subject("TensorRT engine", inputs.write_engine, engine, _engine)
    onnx: Ways = {"*": (damage_onnx, damage_onnx, damage_bytes)}
    for backend in ("onnxruntime", "openvino"):
        yield Subject(f"ONNX in {backend}", inputs.write_onnx_folder, onnx, _exported(backend))
    pair: Ways = {"*.xml": _TEXT, "*.bin": _BYTES}
    yield Subject("OpenVINO folder", inputs.write_openvino_folder, pair, _exported("openvino"))
    yield Subject("overrides", _write_overrides, {"*": _TEXT}, _overrides)
    yield Subject("pair model", _write_pair_model, {"*": _JSON}, _pair_model)


def _of_data() -> Iterator[Subject]:
    coco: Ways = {"annotations.json": _JSON}
    for name, read in (("CocoVID", _coco_vid), ("data check", _data_check), ("masks", _masks)):
        yield Subject(name, inputs.write_annotations, coco, read)
    yield Subject("results", inputs.write_results, {"results.json": _JSON}, _results)
    run: Ways = {"run/run.json": _JSON, "run/detections_*.json": _JSON,
                 "run/features.npz": (damage_arrays, damage_bytes)}  # fmt: skip
    yield Subject("run folder", inputs.write_run_folder, run, _report)
    labels: Ways = {"labels/**/*.txt": _TEXT, "data.yaml": _TEXT, "images/**/*.jpg": _BYTES}
    yield Subject("YOLO folder", inputs.write_yolo, labels, _converted("yolo"))
    sequences: Ways = {"train/*/gt/gt.txt": _TEXT, "train/*/seqinfo.ini": _TEXT}
    yield Subject("MOT folder", inputs.write_mot, sequences, _converted("mot"))
    masks: Ways = {"Annotations/**/*.png": (damage_png, damage_bytes), "labels.json": _JSON,
                   "JPEGImages/**/*.jpg": _BYTES}  # fmt: skip
    yield Subject("DAVIS 2016", inputs.write_davis, masks, _converted("davis"))
    lists: Ways = {**masks, "ImageSets/**/*.txt": _TEXT}
    yield Subject("DAVIS 2017", inputs.write_davis, lists, _converted("davis2017"))


def _of_media() -> Iterator[Subject]:
    for ending in (".png", ".jpg", ".tif", ".webp"):
        ways = (damage_png, damage_bytes) if ending == ".png" else _BYTES
        write = _of_file(inputs.write_image, f"image{ending}")
        yield Subject(f"image {ending}", write, {"*": ways}, _image)
    for ending in (".mp4", ".mkv", ".ts", ".avi"):
        write = _of_file(inputs.write_video, f"video{ending}")
        yield Subject(f"video {ending}", write, {"*": _BYTES}, _frames)


SUBJECTS: dict[str, Subject] = {
    subject.name: subject for subject in (*_of_models(), *_of_data(), *_of_media())
}
