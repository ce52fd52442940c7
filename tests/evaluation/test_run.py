"""`faim eval`: what it reads, prints and writes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from evaluation_cases import BOXES, MakeData
from graph_helpers import TorchRunner
from grouped import eval_options
from rich.console import Console

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.detector import Tuning
from faim.errors import FaimError
from faim.evaluation.run import EvalOptions, run_eval
from faim.evaluation.subject import open_models
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import build_model
from faim.families.yolox.graph_detector import GraphDetector
from faim.groups import PostOptions
from faim.runtime.select import torch_detector
from faim.structures import Proposals, RawPredictions


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    config = FaimConfig(variant="nano", class_names=("cat", "dog"), test_size=(64, 64))
    save_checkpoint(tmp_path / "w.safetensors", build_model(config))
    return tmp_path / "w.safetensors"


def test_run_eval_writes_what_it_prints(data: CocoVid, weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "out" / "figures.json"
    console = Console(file=io.StringIO(), width=120)
    options = EvalOptions(
        weights=weights, data=data.annotation_file, json=file, sampling="shuffled", seed=5
    )
    torch.manual_seed(11)
    report = run_eval(options, console)
    assert torch.initial_seed() == 11  # the caller's randomness is its own
    assert json.loads(file.read_text()) == report
    assert list(report["modes"]) == ["frame", "stream", "global"]
    assert (report["images"], report["videos"]) == (6, 1)
    assert (report["sampling"], report["seed"]) == ("shuffled", 5)
    assert report["size"] == [64, 64]
    assert report["modes"]["stream"]["ms_per_frame"] > 0
    assert report["base_ms"] == report["modes"]["frame"]["ms_per_frame"]
    assert set(report["modes"]["global"]["per_class"]) == {"dog"}
    assert report["machine"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "AP50:95" in console.file.getvalue()


FILE = {"detections": Path("nowhere.json")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "batch"}, "--mode: 'batch'"),
        ({"data": None}, "--data: not given"),
        ({"data": Path("nowhere.json")}, r"nowhere\.json: no such file"),
        ({"weights": "nowhere.pth"}, r"nowhere\.pth: no such file"),
        ({"size": 100}, "multiple of 32"),
        ({"sampling": "some"}, "sampling: 'some'"),
        ({"seed": -2}, "seed: -2"),
        ({"post": "seq-nms"}, "--post: 'seq-nms'"),
        ({"post_model": Path("repp.json"), "post": "none"}, "expected --post repp or causal"),
        ({"post": "repp", "post_model": Path("nowhere.json")}, r"nowhere\.json"),
        ({"frames": 0}, "--frames: 0"),
        ({"proposals": 0}, "--proposals: 0"),
        ({"proposal_nms": 1.5}, "--proposal-nms: 1.5 given; expected 0 to 1"),
        ({"weights": None}, "--ckpt: not given"),
        ({"post": "repp", "mode": "stream"}, "repp given with mode stream"),
        ({"post": "causal", "mode": "global"}, "causal given with mode global"),
        ({**FILE, "weights": None}, r"nowhere\.json: no such file"),
        (FILE, r"--ckpt: .*w\.safetensors given with --detections; expected it without"),
        ({**FILE, "weights": None, "mode": "stream"}, "--mode: stream given with --detections"),
        ({**FILE, "weights": None, "post": "repp"}, "--post: repp given with"),
        ({**FILE, "weights": None, "bank_frames": 3}, "--bank: 3 given with"),
        ({**FILE, "weights": None, "bank_policy": "recent"}, "--bank-policy: recent given with"),
        ({**FILE, "weights": None, "size": (64, 64)}, r"--size: \(64, 64\) given with"),
        ({"out": Path("/dev/null/run")}, "cannot make its folder"),
    ],
)
def test_wrong_options(
    data: CocoVid, weights: Path, change: dict[str, object], message: str
) -> None:
    options = {"weights": weights, "data": data.annotation_file, **change}
    with pytest.raises(FaimError, match=message):
        run_eval(eval_options(**options), Console(file=io.StringIO()))


def test_an_experiment_names_data_and_input(data: CocoVid, weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "exp.py"
    file.write_text(
        "from faim.training.experiment import FaimExperiment\n"
        f"exp = FaimExperiment(variant='nano', val_ann={str(data.annotation_file)!r},\n"
        "    model={'test_size': (64, 96)})\n"
    )
    options = EvalOptions(weights=weights, exp_file=file, mode="stream")
    report = run_eval(options, Console(file=io.StringIO()))
    assert (report["images"], report["size"], report["base_ms"]) == (6, [64, 96], None)
    assert list(report["modes"]) == ["stream"]
    file.write_text(file.read_text().replace("nano", "tiny"))
    with pytest.raises(FaimError, match="weights of variant nano; expected tiny"):
        run_eval(options, Console(file=io.StringIO()))


def test_a_run_folder(data: CocoVid, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "first"
    out.mkdir(parents=True)
    (out / "detections_file.json").write_text("[]")  # of an earlier run
    options = EvalOptions(weights=weights, data=data.annotation_file, out=out, frames=3)
    report = run_eval(options, Console(file=io.StringIO()))
    content = json.loads((out / "run.json").read_text())
    assert content == {"name": "first", **report}
    assert (report["test_frames"], report["post"], report["notes"]) == (3, "causal", [])
    assert report["bank_frames"] == 2
    names = {path.name for path in out.iterdir()}
    assert {f"detections_{mode}.json" for mode in report["modes"]} < names
    assert "detections_file.json" not in names
    for figures in report["modes"].values():
        # 4 of 40 pixels a frame: the mean IoU is 0.70 in the two frames of the middle.
        counts = {speed: part["objects"] for speed, part in figures["by_speed"].items()}
        assert counts == {"slow": 0, "medium": 2, "fast": 4}
        assert sum(figures["errors"].values()) > 0
        assert figures["by_size"]["small"]["ap50"] is None


def test_detections_of_a_file_have_the_figures_of_the_run(
    data: CocoVid, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = EvalOptions(weights=weights, data=data.annotation_file, out=out, mode="frame")
    by_model = run_eval(options, Console(file=io.StringIO()))
    for frame in data.frames:
        frame.path.unlink()  # neither a model nor images are needed
    again = EvalOptions(
        detections=out / "detections_frame.json", data=data.annotation_file, out=tmp_path / "again"
    )
    by_file = run_eval(again, Console(file=io.StringIO()))
    assert (list(by_file["modes"]), by_file["base_ms"]) == (["file"], None)
    assert by_file["modes"]["file"]["ap50"] == pytest.approx(by_model["modes"]["frame"]["ap50"])
    assert (tmp_path / "again" / "detections_file.json").exists()
    assert not (tmp_path / "again" / "features.npz").exists()


def test_what_cannot_be_measured_is_said(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data([[(1, BOXES[0], -1)]] * 2)
    (tmp_path / "found.json").write_text("[]")
    console = Console(file=io.StringIO(), width=200)
    options = EvalOptions(detections=tmp_path / "found.json", data=data.annotation_file)
    report = run_eval(options, console)
    assert "the annotations have no instance_id" in report["notes"][0]
    assert report["notes"][0] in console.file.getvalue()
    assert "by_speed" not in report["modes"]["file"]
    assert report["modes"]["file"]["class_switches"] is None


def test_fewer_proposals(data: CocoVid, weights: Path) -> None:
    options = EvalOptions(weights=weights, data=data.annotation_file, mode="frame", proposals=1)
    report = run_eval(options, Console(file=io.StringIO()))
    assert report["proposals"] == 1
    compiled = eval_options(
        weights=weights,
        data=data.annotation_file,
        mode="frame",
        proposals=1,
        precision="fp32",
    )
    same = run_eval(compiled, Console(file=io.StringIO()))
    assert same["modes"]["frame"]["ap50"] == report["modes"]["frame"]["ap50"]


def test_more_proposals_of_one_object(data: CocoVid, weights: Path) -> None:
    kept = []
    for threshold in (0.0, 0.5, 1.0):
        options = EvalOptions(weights, data.annotation_file, proposal_nms=threshold)
        model, _ = open_models(options, None, None, with_base=False)
        assert model.config.nms_test == threshold
        picks = model.fspm(_alike(10))  # type: ignore[attr-defined]
        kept.append(int(picks.valid.sum()))
    # Neighbours in a row of boxes of 10 pixels at distances of 2 overlap by 8/12.
    assert kept == [2, 5, 10]


def _alike(count: int) -> RawPredictions:
    left = 2.0 * torch.arange(count)
    boxes = torch.stack([left, torch.zeros(count), left + 10, torch.full((count,), 10.0)], dim=1)
    scores = torch.linspace(0.9, 0.5, count)
    return RawPredictions(boxes[None], scores[None], torch.ones(1, count, 2))


def test_exported_graphs_keep_their_proposals(weights: Path) -> None:
    model = load_model(weights)
    runner = TorchRunner(model)
    runner.backend = "onnxruntime"
    with pytest.raises(FaimError, match=r"--proposals: 5 given with backend onnxruntime"):
        GraphDetector(runner).tune(Tuning(proposals=5))
    detector = torch_detector(model)
    detector.tune(Tuning(proposals=5))
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    found = detector.look(images)
    assert isinstance(found, Proposals)
    assert found.valid.shape == (1, 5)


def test_by_the_command_line(
    data: CocoVid, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    common = ["eval", "--data", str(data.annotation_file)]
    chosen = ["--sampling", "global", "--frames", "4", "--proposals", "7", "--post", "repp"]
    assert main([*common, "-c", str(weights), *chosen, "--out", str(out)]) == 0
    report = json.loads((out / "run.json").read_text())
    assert (report["sampling"], report["post"]) == ("global", "repp")
    assert (report["post_model"], report["bank_frames"]) == (None, None)  # no stream was run
    assert {mode: f["post"] for mode, f in report["modes"].items()} == dict.fromkeys(
        ("frame", "global"), "repp"
    )
    assert report["notes"] == ["mode stream is left out: post repp needs the whole video"]
    text = capsys.readouterr().out
    assert report["notes"][0] in " ".join(text.split())
    assert "global + repp" in text
    assert (report["test_frames"], report["proposals"]) == (4, 7)
    assert main([*common, "--detections", str(out / "detections_global.json")]) == 0
    assert main([*common, "--detections", str(out / "run.json"), "--frames", "4"]) == 2
    assert "--frames: 4 given with --detections" in capsys.readouterr().err
    assert main([*common, "--detections", str(out / "run.json")]) == 2
    assert "expected a list of detections" in capsys.readouterr().err


def test_causal_post_is_for_the_stream_alone(data: CocoVid, weights: Path) -> None:
    options = eval_options(
        weights=weights,
        data=data.annotation_file,
        post="causal",
        bank_frames=2,
        bank_policy="recent",
    )
    console = Console(file=io.StringIO(), width=200)
    report = run_eval(options, console)
    posts = {mode: figures["post"] for mode, figures in report["modes"].items()}
    assert posts == {"frame": "none", "stream": "causal", "global": "none"}
    assert (report["bank_frames"], report["notes"]) == (2, [])
    assert report["scores_from"]["stream"] == "ticam"
    joined = f"TICAM over {report['bank_frames']} past frames"
    assert report["joined_by"]["stream"] == f"{joined}, causal tubelets"
    assert "stream + causal" in console.file.getvalue()


@pytest.mark.parametrize(
    ("mode", "aggregate", "post", "expected"),
    [
        ("stream", "auto", "auto", "ticam"),
        ("stream", "auto", "none", "ticam"),
        ("stream", "affinity", "auto", "base detector"),
        ("stream", "affinity", "none", "affinity"),
        ("global", "auto", "repp", "ticam"),
        ("global", "auto", "auto", "ticam"),
        ("global", "affinity", "repp", "affinity"),
    ],
)
def test_what_decides_the_classes(
    data: CocoVid,
    weights: Path,
    mode: Literal["stream", "global"],
    aggregate: Literal["auto", "affinity"],
    post: Literal["auto", "none", "repp"],
    expected: str,
) -> None:
    options = EvalOptions(
        weights, data.annotation_file, mode=mode, aggregate=aggregate, post=PostOptions(post)
    )
    report = run_eval(options, Console(file=io.StringIO()))
    assert report["scores_from"] == {mode: expected}


class Closed(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_files_come_before_the_tables(data: CocoVid, tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text("[]")
    options = EvalOptions(
        detections=tmp_path / "found.json",
        data=data.annotation_file,
        out=tmp_path / "run",
        json=tmp_path / "figures.json",
    )
    with pytest.raises(OSError, match="Input"):
        run_eval(options, Console(file=Closed()))
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content == {"name": "run", **json.loads((tmp_path / "figures.json").read_text())}


@pytest.mark.parametrize("when", ["writing", "swapping"])
def test_what_fails_leaves_the_run_before(
    data: CocoVid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    (tmp_path / "found.json").write_text("[]")
    out = tmp_path / "run"
    options = EvalOptions(detections=tmp_path / "found.json", data=data.annotation_file, out=out)
    run_eval(options, Console(file=io.StringIO()))
    (out / "detections_stream.json").write_text("[1]")
    before = {path.name: path.read_text() for path in out.iterdir()}
    assert set(before) == {"run.json", "detections_file.json", "detections_stream.json"}

    write_text, rename = Path.write_text, Path.replace

    def half(file: Path, text: str, **options: str) -> None:
        write_text(file, text[:5], **options)
        raise OSError(27, "File too large")

    def refuse(file: Path, target: Path) -> Path:
        if target == out / "run.json" and "old" not in file.parts:
            raise OSError(27, "File too large")
        return rename(file, target)

    if when == "writing":
        monkeypatch.setattr(Path, "write_text", half)
    else:
        monkeypatch.setattr(Path, "replace", refuse)
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(FaimError, match=r"cannot be written \(File too large\)"):
        run_eval(options, console)
    assert {path.name: path.read_text() for path in out.iterdir()} == before
    assert "AP50" in console.file.getvalue()  # the figures are not lost
    assert "wrote" not in console.file.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "--out", ""],
        ["eval", "--json", ""],
        ["eval", "--detections", ""],
        ["report", ""],
        ["report", "run", "--out", ""],
        ["repp", "fit", "a.json", "--out", ""],
    ],
)
def test_the_empty_path_is_no_folder(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "'' is no path; expected a file or folder" in capsys.readouterr().err


def test_a_terminal_without_accents(
    data: CocoVid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "gefälscht.json"
    found.write_text("[]")
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, encoding="ascii"))
    assert main(["eval", "--data", str(data.annotation_file), "--detections", str(found)]) == 0
    sys.stdout.flush()
    assert b"gef?lscht.json" in terminal.getvalue()
