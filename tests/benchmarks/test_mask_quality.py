"""benchmarks/mask_quality.py: what it would run, what it keeps, what it makes of the figures."""

import json
import math
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from rich.console import Console

import mask_quality as quality
from lab import jobs as training_jobs
from lab import masks
from studies.mask_quality import plan
from studies.mask_quality import report as reporting


def options(tmp_path, *more):
    return quality._parser().parse_args(["--out", str(tmp_path / "out"), *more])


def figures(value):
    return {mode: dict.fromkeys(reporting.LEVELS, value) for mode in ("stream", "global")}


def write_set(folder):
    """One image with an object of 8 x 4 pixels, its true mask the upper half."""
    folder.mkdir(parents=True)
    image = np.full((32, 32, 3), 90, np.uint8)
    image[10:12, 4:12] = 200
    cv2.imwrite(str(folder / "0.png"), image)
    mask = np.zeros((32, 32), bool)
    mask[10:12, 4:12] = True
    (folder / "annotations.json").write_text(json.dumps(dataset(mask)))


def dataset(mask):
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    rle = {"size": [32, 32], "counts": rle["counts"].decode("ascii")}
    box = {"bbox": [4, 10, 8, 4], "area": 32, "category_id": 1, "iscrowd": 0}
    ids = {"id": 1, "image_id": 1, "video_id": 1, "instance_id": 1}
    return {
        "categories": [{"id": 1, "name": "dots"}],
        "videos": [{"id": 1, "name": "v"}],
        "images": [
            {"id": 1, "video_id": 1, "frame_id": 0, "file_name": "0.png", "width": 32, "height": 32}
        ],
        "annotations": [{**ids, **box, "segmentation": rle}],
    }


class FakeFaim:
    """`faim`, but training takes no time: AP50 is 50, plus the seed, plus what the masks give."""

    def __init__(self, gains):
        self.gains = gains
        self.lines = []

    def __call__(self, line):
        self.lines.append(line)
        return getattr(self, f"_{line[0]}")(line) or 0

    def trained(self):
        return [Path(self._value(line, "-o")).name for line in self.lines if line[0] == "train"]

    def _value(self, line, option):
        return line[line.index(option) + 1]

    def _synth(self, line):
        write_set(Path(self._value(line, "--out")))

    def _masks(self, line):
        boxes = json.loads(Path(line[1]).read_text())
        assert all("segmentation" not in entry for entry in boxes["annotations"])
        mask = np.zeros((32, 32), bool)
        mask[10:14, 4:12] = True
        Path(self._value(line, "--out")).write_text(json.dumps(dataset(mask)))

    def _train(self, line):
        out = Path(self._value(line, "-o"))
        out.mkdir(parents=True, exist_ok=True)
        (out / "weights.safetensors").write_bytes(b"")

    def _eval(self, line):
        file = Path(self._value(line, "--json"))
        name, _, seed = file.stem.rpartition("_")
        value = 50.0 + int(seed) + self.gains[name] if seed.isdigit() else 40.0
        file.write_text(json.dumps({"modes": {**figures(value), "frame": figures(45.0)["stream"]}}))


@pytest.fixture
def fake(monkeypatch):
    command = FakeFaim({"none": 0, "box": 1, "grabcut": 2, "true": 4})
    monkeypatch.setattr(training_jobs, "faim", command)
    monkeypatch.setattr(quality, "load_model", lambda *a, **k: None)
    monkeypatch.setattr(quality, "save_checkpoint", lambda path, model: path.write_bytes(b"base"))
    return command


# -- the plan


def test_sources_begin_without_masks_and_end_with_the_true_ones(tmp_path):
    names = [each.name for each in masks.sources(options(tmp_path))]
    assert names == ["none", "box", "grabcut", "true"]
    chosen = options(tmp_path, "--methods", "true", "grabcut", "none", "grabcut")
    assert [each.name for each in masks.sources(chosen)] == ["none", "grabcut", "true"]


def test_a_name_carries_settings():
    source = masks.Source.parse("aligned:results=a,b.json,iou=0.5")
    assert source.method == "aligned"
    assert source.settings == ("results=a,b.json", "iou=0.5")
    assert source.slug == "aligned_results_a_b.json_iou_0.5"


def test_the_checkpoint_belongs_to_the_video_method_unless_it_has_one():
    file = Path("w.safetensors")
    assert masks.Source.parse("box", file).settings == ()
    video = masks.Source.parse("video:frames=9", file)
    assert video.settings == ("frames=9", "checkpoint=w.safetensors")
    own = masks.Source.parse("video:checkpoint=v", file)
    assert own.settings == ("checkpoint=v",)
    assert own.checkpoints == [Path("v")]


def test_epochs_are_the_steps_over_what_the_frames_fill(tmp_path):
    # 3 videos of 20 frames, 8 frames a step: 3 steps each.
    given = ("--videos", "3", "--frames", "20", "--steps")
    assert plan.epochs_of("steps", options(tmp_path, *given, "36", "--batch", "1")) == 4
    assert plan.epochs_of("steps", options(tmp_path, *given, "36", "--batch", "2")) == 8


def test_trainings_of_a_seed_differ_in_masks_and_lambda_alone(tmp_path, fake):
    asked = options(tmp_path, "--mask-weight", "2.5", "--methods", "box")
    quality.run(asked)
    lines = {Path(li[li.index("-o") + 1]).name: li for li in fake.lines if li[0] == "train"}
    none, box, true = (lines[f"{name}_1"] for name in ("none", "box", "true"))
    out = tmp_path / "out"
    assert f"{out}/train/boxes.json" in none
    assert f"{out}/train/masks_box.json" in box
    assert f"{out}/train/annotations.json" in true
    assert none[-1] == "model.mask_weight=0"
    assert box[-1] == true[-1] == "model.mask_weight=2.5"
    swap = {f"{out}/train/masks_box.json": f"{out}/train/annotations.json"}
    swap[f"{out}/runs/box_1"] = f"{out}/runs/true_1"
    assert [swap.get(part, part) for part in box] == true
    assert {"seed=1", "max_epochs=4", f"{out}/base.safetensors"} <= set(true)


def test_command_lines_are_those_of_faim(tmp_path):
    from faim.cli import build_parser
    from faim.training.options import read_options

    asked = options(tmp_path, "--batch", "2", "--lr", "0.002", "--steps", "240")
    source = masks.Source.parse("true")
    source.annotations(asked.out).parent.mkdir(parents=True)
    for file in (asked.out / "base.safetensors", source.annotations(asked.out)):
        file.write_bytes(b"")
    job = plan.training(source, 2, asked)
    train, score = (build_parser().parse_args(line) for line in job.commands)
    experiment = read_options(train).experiment
    assert experiment.sizes == (256,)
    assert experiment.config(("a",)).train_frames == plan.TRAIN_FRAMES
    assert experiment.config(("a",)).test_size == (256, 256)
    assert (experiment.seed, experiment.max_epochs) == (2, 2)
    assert experiment.learning_rate == pytest.approx(0.002)
    assert score.json == job.figures
    assert score.weights == f"{job.run}/weights.safetensors"
    made = build_parser().parse_args(masks.masking(masks.Source.parse("grabcut"), asked.out))
    assert made.method == "grabcut"
    synth = build_parser().parse_args(training_jobs.generation(asked.out, 3, 8, plan.SIZE, 5))
    assert (synth.videos, synth.frames, synth.seed, synth.severity) == (3, 8, 5, "hard")


# -- the figures


def test_summary_of_three_seeds():
    none = {"0": figures(60.0), "1": figures(62.0), "2": figures(64.0)}
    row = {"0": figures(61.0), "1": figures(65.0), "2": figures(66.0)}
    found = reporting.summary(row, none)["global"]["ap50"]
    assert found["mean"] == pytest.approx(64.0)
    assert found["std"] == pytest.approx(math.sqrt(7))  # deviations -3, 1, 2
    assert found["gain"]["each"] == {"0": 1.0, "1": 3.0, "2": 2.0}
    assert (found["gain"]["mean"], found["gain"]["std"]) == (2.0, 1.0)


def test_one_seed_has_no_spread():
    found = reporting.summary({"4": figures(61.0)}, {"4": figures(60.5)})["stream"]["ap75"]
    assert found["std"] is None
    assert found["gain"] == {"mean": 0.5, "std": None, "each": {"4": 0.5}}


def test_tables(capsys):
    rows = {"none": {"0": figures(60.0)}, "grabcut": {"0": figures(61.25)}}
    report = {
        "rows": rows,
        "summary": {name: reporting.summary(row, rows["none"]) for name, row in rows.items()},
        "masks": {"grabcut": {"jaccard": 0.871, "boundary": 0.65}},
        "starts": {"base": {"modes": {**figures(58.0), "frame": figures(55.5)["stream"]}}},
        "seconds": 90.0,
    }
    reporting.print_report(report, Console(width=140))
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "grabcut" in line)
    assert row.replace("│", " ").split() == [
        *("grabcut", "87.1", "65.0", "61.2", "61.2", "61.2", "+1.2", "+1.2")
    ]
    assert "frame by frame: AP50 55.5" in out


# -- the run


def test_run_scores_masks_and_pairs_seeds(tmp_path, fake):
    out = tmp_path / "report.json"
    report = quality.run(options(tmp_path, "--methods", "box", "--json", str(out)))
    # The box is twice the object.
    assert report["masks"]["box"]["jaccard"] == pytest.approx(0.5)
    gain = report["summary"]["true"]["stream"]["ap50"]
    assert gain["mean"] == pytest.approx(55.0)  # 54, 55, 56
    assert gain["gain"] == {"mean": 4.0, "std": 0.0, "each": {"0": 4.0, "1": 4.0, "2": 4.0}}
    assert report["summary"]["box"]["global"]["ap50"]["gain"]["mean"] == 1.0
    written = json.loads(out.read_text())
    assert written["summary"] == report["summary"]
    assert written["machine"]["cores"] >= 1
    assert written["seconds"] >= 0
    assert len(written["commands"]) == 9


def test_a_second_run_trains_what_is_new_alone(tmp_path, fake):
    quality.run(options(tmp_path, "--methods", "box", "--seeds", "0"))
    assert fake.trained() == ["none_0", "box_0", "true_0"]
    fake.lines.clear()
    again = quality.run(options(tmp_path, "--methods", "box", "grabcut", "--seeds", "0", "1"))
    assert fake.trained() == ["grabcut_0", "none_1", "box_1", "grabcut_1", "true_1"]
    assert [line[0] for line in fake.lines].count("synth") == 0
    assert list(again["rows"]["box"]) == ["0", "1"]


def test_all_may_start_from_one_training_without_masks(tmp_path, fake):
    more = ["--methods", "box", "--seeds", "0", "--start-steps", "240"]
    report = quality.run(options(tmp_path, *more))
    lines = [line for line in fake.lines if line[0] == "train"]
    assert fake.trained() == ["start", "none_0", "box_0", "true_0"]
    starts = [fake._value(line, "-c") for line in lines]
    out = tmp_path / "out"
    assert starts == [f"{out}/base.safetensors", *3 * [f"{out}/runs/start/weights.safetensors"]]
    assert {"max_epochs=2", "model.mask_weight=0", "seed=100"} <= set(lines[0])
    assert report["starts"]["start"]["modes"]["stream"]["ap50"] == 40.0
    fake.lines.clear()
    quality.run(options(tmp_path, *more))
    assert fake.lines == []


def test_a_stopped_run_goes_on(tmp_path, fake, monkeypatch, capsys):
    train = fake._train
    monkeypatch.setattr(fake, "_train", lambda li: 130 if "seed=1" in li else train(li))
    arguments = ["--out", str(tmp_path / "out"), "--methods", "box", "--seeds", "0", "1"]
    assert quality.main(arguments) == 130
    assert capsys.readouterr().err == "mask_quality: stopped; the same command goes on\n"
    fake.lines.clear()
    monkeypatch.setattr(fake, "_train", train)
    assert quality.main(arguments) == 0
    assert fake.trained() == ["none_1", "box_1", "true_1"]


def test_the_folder_may_move(tmp_path, fake):
    quality.run(options(tmp_path, "--methods", "box", "--seeds", "0"))
    (tmp_path / "out").rename(tmp_path / "moved")
    fake.lines.clear()
    moved = ["--out", str(tmp_path / "moved"), "--methods", "box", "--seeds", "0"]
    quality.run(quality._parser().parse_args(moved))
    assert fake.lines == []


def test_kept_results_are_timed_once(tmp_path):
    kept = training_jobs.Kept(tmp_path)
    made = kept.add("a/b", ["train"], {"x": 1, "seconds": 7.5})
    assert kept.find("a/b", ["train"]) == made
    assert kept.find("a/c", ["train"]) is None
    assert kept.seconds == 7.5
    kept.add("a/b", ["train"], {"x": 1, "seconds": 9.0})
    assert kept.seconds == 9.0
    assert kept.get("a/b", ["train"], lambda: {"x": 2})["x"] == 1


# -- wrong input


def fails(arguments, capsys):
    assert quality.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("mask_quality: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--methods", "grabcat"], "grabcat: no such method; expected grabcut"),
        (["--methods", "video"], "--checkpoint: not given; expected trained weights"),
        (["--methods", "grabcut:nonsense=1"], "nonsense"),
        (["--checkpoint", "/no/such.safetensors"], "/no/such.safetensors: no such file"),
        (["--weights", "/no/such.pth"], "/no/such.pth: cannot be read (No such file"),
        (["-f", "no_such_exp.py"], "no_such_exp.py: cannot be read"),
        (["--mask-weight", "nan"], "--mask-weight is nan; expected a number above 0"),
        (["--mask-weight", "0"], "--mask-weight is 0.0; expected a number above 0"),
        (["--methods", "grabcut:iterations=2", "grabcut:iterations:2"], "iterations"),
        (["--lr", "inf"], "--lr is inf; expected a number above 0, up to 1"),
        (
            ["--start-steps", "60", "--batch", "2"],
            "--start-steps is 60; expected a multiple of 120",
        ),
        (["--steps", "100"], "--steps is 100; expected a multiple of 120"),
    ],
)
def test_wrong_options_are_found_before_the_work(more, sentence, tmp_path, fake, capsys):
    assert sentence in fails(["--out", str(tmp_path / "out"), *more], capsys)
    assert fake.lines == []


def test_a_folder_of_other_settings_is_refused(tmp_path, fake, capsys):
    quality.run(options(tmp_path, "--methods", "box", "--seeds", "0"))
    other = ["--out", str(tmp_path / "out"), "--methods", "box", "--seeds", "0", "--steps", "720"]
    err = fails(other, capsys)
    assert "rows/none_0.json: the result of other settings; expected another --out" in err


def test_other_weights_are_refused(tmp_path, fake, capsys):
    quality.run(options(tmp_path, "--methods", "box", "--seeds", "0"))
    (tmp_path / "w.safetensors").write_bytes(b"other")
    weights = ["--weights", str(tmp_path / "w.safetensors")]
    err = fails(["--out", str(tmp_path / "out"), "--methods", "box", *weights], capsys)
    assert "base.json: the result of other settings" in err


def test_a_failed_command_names_its_log(tmp_path, fake, monkeypatch, capsys):
    monkeypatch.setattr(fake, "_train", lambda line: 2)
    err = fails(["--out", str(tmp_path / "out"), "--methods", "box"], capsys)
    log = tmp_path / "out/runs/none_0.log"
    assert f"faim train: exit status 2; expected 0 (see {log})" in err
    assert shlex.split(log.read_text())[:3] == ["$", "faim", "train"]


def test_a_file_in_the_place_of_the_folder(tmp_path, fake, capsys):
    (tmp_path / "out").write_text("")
    assert "expected a place to write" in fails(["--out", str(tmp_path / "out")], capsys)


def test_a_damaged_result(tmp_path, fake, capsys):
    quality.run(options(tmp_path, "--methods", "box", "--seeds", "0"))
    (tmp_path / "out/rows/box_0.json").write_text("{")
    err = fails(["--out", str(tmp_path / "out"), "--methods", "box", "--seeds", "0"], capsys)
    assert "rows/box_0.json: is not JSON" in err
