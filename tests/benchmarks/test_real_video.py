"""benchmarks/real_video.py: what it would run, how it scores, what it makes of the figures."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

import real_video as real
from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.families.yolox.config import FaimConfig
from faim.structures import Detections
from lab import jobs as training_jobs
from lab import partial_labels as scoring
from studies.real_video import plan
from studies.real_video import report as reporting

FRAMES = 4
CLASSES = ("car", "cat", "cow", "dog", "horse")
TRAIN = {
    "a-car": ("car", True, False),
    "a-dog": ("dog", True, False),
    "rider": ("horse", True, True),
    "rhino": (None, True, False),
}
VAL = {
    "b-car": ("car", False, False),
    "b-cow": ("cow", True, False),
    "b-dog": ("dog", True, False),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two DAVIS folders and weights; every object fills x 8..24, y 4..20 of 32 x 32 pixels."""
    root = tmp_path_factory.mktemp("davis")
    for part, sequences in (("train", TRAIN), ("val", VAL)):
        for name in sequences:
            images = root / part / "JPEGImages/480p" / name
            masks = root / part / "Annotations/480p" / name
            for folder in (images, masks):
                folder.mkdir(parents=True)
            for number in range(FRAMES):
                picture = np.zeros((32, 32), np.uint8)
                picture[4:20, 8:24] = 255
                cv2.imwrite(str(images / f"{number:05}.jpg"), picture)
                cv2.imwrite(str(masks / f"{number:05}.png"), picture)
        labels = {
            n: dict(zip(("coco", "clean", "union"), entry, strict=True))
            for n, entry in sequences.items()
        }
        (root / part / "labels.json").write_text(json.dumps(labels))
    (root / "w.pth").write_bytes(b"weights")
    return root


def arguments(folders, out, *more):
    sets = ["--davis-train", str(folders / "train"), "--davis", str(folders / "val")]
    fixed = ["--weights", str(folders / "w.pth"), "--out", str(out), "--steps", "6"]
    return [*sets, *fixed, "--seeds", "0", "1", "--curve", "2", "--methods", "box", *more]


def options(folders, out, *more):
    return real._parser().parse_args(arguments(folders, out, *more))


#: Runs of the rows with other rules, as `FakeFaim` and the commands name them.
OTHERS = ("true_replace", "true_retention", "true_mean", "true_slow", "true_live_norms")
FOUND = {
    **{"base": 2, "none": 1, "box": 2, "true": 3, "yolov": 1},
    **{"true_1_sequences": 2, "true_2_sequences": 2},
    **dict.fromkeys(OTHERS, 3),
}


class FakeFaim:
    """`faim`, but training takes no time.

    It finds the object, exactly, in the first FOUND frames of every sequence: one more in global
    mode, and in seed 1 one less.
    """

    def __init__(self):
        self.lines = []

    def __call__(self, line):
        self.lines.append(line)
        return getattr(self, f"_{line[0]}")(line) or 0

    def trained(self):
        return [Path(self._value(line, "-o")).name for line in self.lines if line[0] == "train"]

    def _value(self, line, option, default=None):
        return line[line.index(option) + 1] if option in line else default

    def _masks(self, line):
        out = Path(self._value(line, "--out"))
        out.write_text(out.with_name("annotations.json").read_text())

    def _train(self, line):
        (Path(self._value(line, "-o"))).mkdir(parents=True, exist_ok=True)

    def _eval(self, line):
        out = Path(self._value(line, "--out"))
        name, _, seed = out.parent.name.rpartition("_") if "_" in out.parent.name else ("base",) * 3
        mode = self._value(line, "--mode", "all")
        out.mkdir(parents=True)
        for each in ("frame", "stream", "global") if mode == "all" else (mode,):
            count = FOUND[name] + (each == "global") - (seed == "1")
            content = json.loads(Path(self._value(line, "--data")).read_text())
            boxes = {a["image_id"]: a for a in content["annotations"]}
            rows = [
                {"image_id": i["id"], "score": 0.9}
                | {key: boxes[i["id"]][key] for key in ("category_id", "bbox")}
                for i in content["images"]
                if i["frame_id"] < count
            ]
            (out / f"detections_{each}.json").write_text(json.dumps(rows))


@pytest.fixture
def fake(monkeypatch):
    command = FakeFaim()
    config = FaimConfig(class_names=CLASSES, architecture="yolox")
    monkeypatch.setattr(training_jobs, "faim", command)
    monkeypatch.setattr(real, "load_checkpoint", lambda path: (config, {}))
    return command


# -- the plan


def test_rows(folders, tmp_path):
    train = plan.read_labels(folders / "train", None, unions=True)
    found = plan.rows(options(folders, tmp_path / "out", "--mask-weight", "2.5"), train)
    assert [(row.name, row.weight, row.sequences) for row in found] == [
        ("none", 0, None),
        ("box", 2.5, None),
        ("true", 2.5, None),
        ("yolov", 0, None),
        ("true, replace", 2.5, None),
        ("true, retention", 2.5, None),
        ("true, mean", 2.5, None),
        ("true, slow", 2.5, None),
        ("true, live norms", 2.5, None),
        ("true, 2 sequences", 2.5, 2),
    ]
    assert [row.experiment.name for row in found if row.experiment.name != "faim_nano.py"] == [
        "yolov_nano.py"
    ]
    names = [row.annotations(Path("o"), 7).as_posix() for row in found]
    assert names == [
        "o/train/boxes.json",
        "o/train/masks_box.json",
        "o/train/annotations.json",
        "o/train/boxes.json",
        *["o/train/annotations.json"] * 5,
        "o/train/first_2_7.json",
    ]


def test_rows_asked_for(folders, tmp_path):
    train = plan.read_labels(folders / "train", None, unions=True)
    asked = options(folders, tmp_path / "out", "--rows", "true, slow", "yolov")
    assert [row.name for row in plan.rows(asked, train)] == ["none", "yolov", "true, slow"]
    asked = options(folders, tmp_path / "out", "--rows", "slow")
    with pytest.raises(FaimError, match=r"--rows slow: no such row; expected some of none; "):
        plan.rows(asked, train)


def test_labels(folders):
    every = plan.read_labels(folders / "train", None, unions=True)
    assert list(every) == ["a-car", "a-dog", "rider"]  # the rhino has no COCO class
    assert every["rider"] == plan.Label("horse", clean=True, union=True)
    assert list(plan.read_labels(folders / "train", None, unions=False)) == ["a-car", "a-dog"]
    assert list(plan.read_labels(folders / "train", ["rider", "a-car"], unions=True)) == [
        *("rider", "a-car")
    ]


def test_classes(folders):
    train, val = (plan.read_labels(folders / n, None, unions=True) for n in ("train", "val"))
    assert plan.class_groups(train, val) == {"shared": ("car", "dog"), "unseen": ("cow",)}
    del val["b-dog"]
    with pytest.raises(FaimError, match=r"car, cow without unlabelled objects .* none; expected"):
        plan.class_groups(train, val)


def test_fewer_sequences_are_the_first_of_more():
    names = list("abcdefgh")
    for seed in range(3):
        five = plan.first_sequences(names, 5, seed)
        assert plan.first_sequences(names[::-1], 3, seed) == five[:3]
        assert len(set(five)) == 5
    assert plan.first_sequences(names, 5, 0) != plan.first_sequences(names, 5, 1)


def test_epochs(folders, tmp_path):
    # 20 and 70 frames fill 3 and 9 samples: 6 steps an epoch; of every third frame 1 and 3.
    asked = options(folders, tmp_path, "--steps", "32")
    assert plan.epochs_of([20, 70], asked) == (5, 30)
    assert plan.epochs_of([20, 70], options(folders, tmp_path, "--stride", "3")) == (3, 6)
    assert plan.epochs_of([20], asked) == (16, 32)  # the second step of an epoch has one video
    assert plan.epochs_of([5000], asked) == (1, 313)


def test_command_lines_are_those_of_faim(folders, tmp_path):
    from faim.cli import build_parser
    from faim.training.options import read_options

    asked = options(folders, tmp_path, "--lr", "0.004", "--stride", "2", "--cache-base", "1.5")
    train = plan.read_labels(folders / "train", None, unions=True)
    (tmp_path / "train").mkdir()
    for row in plan.rows(asked, train):
        row.annotations(tmp_path, 3).write_bytes(b"")
        job = plan.training(row, 3, 7, asked)
        line, *scores = (build_parser().parse_args(each) for each in job.commands)
        experiment = read_options(line).experiment
        config = experiment.config(("a",))
        assert config.architecture == ("yolov" if row.name == "yolov" else "faim")
        assert (experiment.sizes, config.test_size) == ((416,), (416, 416))
        assert (config.train_frames, config.mask_weight) == (8, row.weight)
        joins = {"true, replace": "replace", "true, retention": "replace", "true, mean": "mean"}
        assert config.join == joins.get(row.name, "correction")
        assert experiment.live_norms == (row.name == "true, live norms")
        assert config.retention_weight == (row.name == "true, retention")
        assert (experiment.seed, experiment.max_epochs, experiment.frame_stride) == (3, 7, 2)
        slower = 0.1 if row.name == "true, slow" else 1
        assert experiment.learning_rate == pytest.approx(0.004 * slower)
        assert (experiment.flip, experiment.cache_base) == (True, 1.5)
        assert experiment.train_ann == str(row.annotations(tmp_path, 3))
        assert [(s.mode, s.post) for s in scores] == [("all", "none"), ("stream", "causal")]
        assert {s.weights for s in scores} == {f"{job.run}/weights.safetensors"}
        assert "cache_base" not in " ".join(job.recipe)
    base = [build_parser().parse_args(each) for each in plan.without_training(asked).commands]
    assert [(s.aggregate, s.mode, s.post) for s in base] == [
        ("affinity", "all", "none"),
        ("auto", "stream", "auto"),
    ]


# -- the figures


def one_dataset(folder):
    """Sequences of two frames: dog and cow are clean, car is not; one object, 10 x 10 pixels."""
    names = ("car", "cow", "dog")
    ids = range(1, 7)
    content = {
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
        "videos": [{"id": i + 1, "name": f"the-{name}"} for i, name in enumerate(names)],
        "images": [
            {"id": i, "video_id": (i + 1) // 2, "frame_id": 1 - i % 2, "file_name": f"{i}.png"}
            | {"width": 40, "height": 40}
            for i in ids
        ],
        "annotations": [
            {"id": i, "image_id": i, "video_id": (i + 1) // 2, "instance_id": (i + 1) // 2}
            | {"category_id": (i + 1) // 2, "bbox": [5, 5, 10, 10], "area": 100}
            for i in ids
        ],
    }
    path = folder / "a.json"
    path.write_text(json.dumps(content))
    return path


def found(label, score=0.9, box=(5, 5, 15, 15)):
    return torch.tensor([[*box, score, label]])


def as_detections(*rows):
    table = torch.cat(rows)
    return Detections(table[:, :4], table[:, 4], table[:, 5].long())


def test_figures_by_hand(tmp_path):
    """Dogs: both found, but a better one is seen in a cow's frame. Cars: one of two frames."""
    data = CocoVid(one_dataset(tmp_path))
    detections = {
        1: as_detections(found(0)),
        3: as_detections(found(1), found(2, 0.95)),
        4: as_detections(found(1, 0.2)),
        5: as_detections(found(2)),
        6: as_detections(found(2)),
    }
    clean = frozenset({"the-cow", "the-dog"})
    shared = scoring.figures(data, detections, clean, ["car", "dog"])
    assert shared["found_share"] == pytest.approx(75)
    assert shared["flips_per_100"] == pytest.approx(50)  # the car is lost, the dog is not
    # The box on the cow has the name of another class, which is no matter of cars and dogs.
    assert shared["wrong_labels"] == pytest.approx(0)
    assert shared["boxes_per_frame"] == pytest.approx(5 / 6)
    assert shared["ap50"] == shared["ap75"] == pytest.approx(200 / 3)  # one mistake, then two right
    assert shared["ap50_own"] == pytest.approx(100)
    unseen = scoring.figures(data, detections, clean, ["cow"])
    assert unseen["found_share"] == pytest.approx(50)  # a score of 0.2 is not found
    assert unseen["wrong_labels"] == pytest.approx(50)
    assert unseen["ap50"] == unseen["ap50_own"] == pytest.approx(100)
    assert scoring.figures(data, detections, clean, ["car"])["ap50"] is None
    nothing = scoring.figures(data, detections, clean, [])
    assert nothing.pop("boxes_per_frame") == pytest.approx(5 / 6)  # of all classes
    assert set(nothing.values()) == {None}


def test_summary_pairs_seeds_and_compares_with_the_mode_without_training():
    def row(*values):
        figures = [dict.fromkeys(scoring.FIGURES, value) for value in values]
        return {
            str(seed): {
                mode: {**each, "unseen": each, "found": {"a": 50.0 + seed, "b": 90.0}}
                for mode in reporting.FREE
            }
            for seed, each in enumerate(figures)
        }

    base = {
        name: dict.fromkeys(scoring.FIGURES, value)
        for name, value in zip(plan.BASE, (50.0, 55.0, 60.0, 58.0), strict=True)
    }
    base["frame"]["found"] = {"a": 40.0, "b": 90.5}
    found = reporting.summary(row(61.0, 65.0, 66.0), row(60.0, 62.0, 64.0), base)
    assert found["stream"]["worst"] == {"gain": -0.5, "sequence": "b"}
    cell = found["stream + causal"]["ap50"]
    assert cell["mean"] == pytest.approx(64)
    assert cell["std"] == pytest.approx(math.sqrt(7))
    assert cell["over_none"] == {"mean": 2.0, "std": 1.0}
    assert cell["over_free"]["mean"] == pytest.approx(4)
    assert found["global"]["ap50"]["over_free"]["mean"] == pytest.approx(6)
    assert found["stream"]["unseen"]["ap75"]["mean"] == pytest.approx(64)
    none = reporting.summary(row(None), row(60.0), base)["stream"]["found_share"]
    assert (none["mean"], none["over_none"]["mean"]) == (None, None)


# -- the run


def test_run(folders, tmp_path, fake, capsys):
    out = tmp_path / "report.json"
    report = real.run(options(folders, tmp_path / "out", "--json", str(out)))
    # Of four frames, seed 0 and 1: three and two with true masks, one and none without.
    stream = report["summary"]["true"]["stream"]
    assert stream["found_share"]["mean"] == pytest.approx(62.5)
    assert stream["found_share"]["std"] == pytest.approx(25 / math.sqrt(2))
    assert stream["found_share"]["over_none"] == {"mean": 50.0, "std": 0.0}
    assert stream["found_share"]["over_free"]["mean"] == pytest.approx(12.5)
    assert report["summary"]["box"]["global"]["found_share"]["over_free"]["mean"] == -12.5
    # Every sequence has two found frame by frame.
    assert stream["worst"] == {"gain": pytest.approx(12.5), "sequence": "b-car"}
    assert report["base"]["frame"]["found_share"] == pytest.approx(50)
    assert report["masks"]["box"]["jaccard"] == pytest.approx(1)
    assert report["classes"] == {"shared": ("car", "dog"), "unseen": ("cow",)}
    written = json.loads(out.read_text())
    assert written["summary"] == report["summary"]
    assert written["data"]["train"]["frames"] == 3 * FRAMES
    assert len(written["commands"]) == 2 * (5 + len(OTHERS))
    assert not list((tmp_path / "out/runs").glob("*/eval*"))
    text = capsys.readouterr().out
    assert "Never seen in training: cow." in text
    row = next(line for line in text.splitlines() if "│ true  " in line).replace("│", " ").split()
    assert row[:4] == ["true", "100.0", "6", "62.5±17.7"]


def test_the_data_have_the_categories_of_the_weights(folders, tmp_path, fake):
    real.run(options(folders, tmp_path / "out"))
    train = CocoVid(tmp_path / "out/train/annotations.json")
    assert train.classes == CLASSES
    train.check(num_classes=5, masks_required=True)
    boxes = CocoVid(tmp_path / "out/train/boxes.json")
    assert all(a.segmentation is None for frame in boxes.frames for a in frame.annotations)
    for seed in (0, 1):
        part = CocoVid(tmp_path / f"out/train/first_2_{seed}.json")
        assert part.classes == CLASSES
        chosen = plan.first_sequences(["a-car", "a-dog", "rider"], 2, seed)
        assert {video.name for video in part.videos} == set(chosen)
        assert sum(len(frame.annotations) for frame in part.frames) == 2 * FRAMES


def test_a_second_run_trains_what_is_new_alone(folders, tmp_path, fake):
    real.run(options(folders, tmp_path / "out", "--seeds", "0"))
    assert fake.trained() == [
        "none_0",
        "box_0",
        "true_0",
        "yolov_0",
        *(f"{name}_0" for name in OTHERS),
        "true_2_sequences_0",
    ]
    fake.lines.clear()
    more = ["--seeds", "0", "--curve", "1", "--cache-base", "2"]
    real.run(options(folders, tmp_path / "out", *more))
    assert fake.trained() == ["true_1_sequences_0"]
    assert {line[0] for line in fake.lines} == {"train", "eval"}


def test_kept_results_without_a_figure_are_scored_again_and_nothing_is_trained(
    folders, tmp_path, fake
):
    one = ["--seeds", "0", "--rows", "true"]
    first = real.run(options(folders, tmp_path / "out", *one))
    kept = [tmp_path / "out/base.json", tmp_path / "out/rows/true_0.json"]
    for file in kept:
        content = json.loads(file.read_text())
        for figures in content["modes"].values():
            # Of four frames two or three, in global mode one more, have a box.
            assert figures.pop("boxes_per_frame") in (0.5, 0.75, 1.0)
        file.write_text(json.dumps({**content, "seconds": 100.0}))
    fake.lines.clear()
    again = real.run(options(folders, tmp_path / "out", *one))
    assert again["base"] == first["base"]
    assert again["summary"] == first["summary"]
    assert [line[0] for line in fake.lines] == ["eval"] * 4
    assert [fake._value(line, "-c") for line in fake.lines[2:]] == [
        f"{tmp_path / 'out/runs/true_0/weights.safetensors'}"
    ] * 2
    assert 200 <= again["seconds"] < 300
    assert not list((tmp_path / "out/runs").glob("*/eval*"))


def test_a_stopped_run_goes_on(folders, tmp_path, fake, monkeypatch, capsys):
    train = fake._train
    monkeypatch.setattr(fake, "_train", lambda li: 130 if "seed=1" in li else train(li))
    line = arguments(folders, tmp_path / "out")
    assert real.main(line) == 130
    assert capsys.readouterr().err == "real_video: stopped; the same command goes on\n"
    fake.lines.clear()
    monkeypatch.setattr(fake, "_train", train)
    assert real.main(line) == 0
    assert fake.trained() == [
        "none_1",
        "box_1",
        "true_1",
        "yolov_1",
        *(f"{name}_1" for name in OTHERS),
        "true_2_sequences_1",
    ]


def test_one_table_a_mode(folders, tmp_path, fake, capsys):
    report = real.run(options(folders, tmp_path / "out", "--seeds", "0"))
    capsys.readouterr()
    reporting.print_report(report, Console(width=180))
    text = capsys.readouterr().out
    for mode in reporting.FREE:
        assert f"{mode}: shared classes, mean and standard deviation of 1 trainings" in text
    row = next(line for line in text.splitlines() if "(stream, training-free)" in line)
    assert row.replace("│", " ").split()[2:7] == ["50.0", "33.3", "0.0", "0.50", "50.5"]


# -- wrong input


def fails(line, capsys):
    assert real.main(line) == 2
    err = capsys.readouterr().err
    assert err.startswith("real_video: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--davis", "/no/such"], "/no/such/labels.json"),
        (["--weights", "/no/such.pth"], "/no/such.pth: cannot be read (No such file"),
        (["-f", "no_such_exp.py"], "no_such_exp.py: cannot be read"),
        (["--yolov-file", "no_such_exp.py"], "no_such_exp.py: cannot be read"),
        (["--methods", "grabcat"], "grabcat: no such method"),
        (["--methods", "video"], "--checkpoint: not given; expected trained weights"),
        (["--boxvos", "/no/such.safetensors"], "/no/such.safetensors: no such file"),
        (["--curve", "3"], "--curve is 3; expected less than the 3 training sequences"),
        (["--lr", "nan"], "--lr is nan; expected a number above 0, up to 1"),
        (["--mask-weight", "0"], "--mask-weight is 0.0; expected a number above 0"),
        (["--cache-base", "-1"], "--cache-base is -1.0; expected gigabytes"),
        (["--sequences", "rhino"], "no COCO class of rhino; expected one of each"),
        (["--val-sequences", "b-cow"], "cow without unlabelled objects"),
        (["--sequences", "rider", "--without-unions"], "no sequence is left; expected at least"),
    ],
)
def test_wrong_options_are_found_before_the_work(more, sentence, folders, tmp_path, fake, capsys):
    methods = ["--methods", "box", "video"] if "--boxvos" in more else []
    assert sentence in fails(arguments(folders, tmp_path / "out", *methods, *more), capsys)
    assert fake.lines == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("entry", [["dog"], {"clean": True}, {"coco": 3}])
def test_damaged_labels(entry, folders, tmp_path, fake, capsys):
    (tmp_path / "labels.json").write_text(json.dumps({"a-dog": entry}))
    line = arguments(folders, tmp_path / "out", "--davis-train", str(tmp_path))
    assert "labels.json: sequence a-dog has no `coco`; expected a class or null" in fails(
        line, capsys
    )


def test_a_folder_of_other_sequences_is_refused(folders, tmp_path, fake, capsys):
    real.run(options(folders, tmp_path / "out", "--seeds", "0", "--curve"))
    err = fails(arguments(folders, tmp_path / "out", "--without-unions", "--curve"), capsys)
    assert "data.json: the result of other settings; expected another --out" in err


def test_a_failed_command_names_its_log(folders, tmp_path, fake, monkeypatch, capsys):
    monkeypatch.setattr(fake, "_train", lambda line: 2)
    err = fails(arguments(folders, tmp_path / "out"), capsys)
    assert f"exit status 2; expected 0 (see {tmp_path / 'out/runs/none_0.log'})" in err
