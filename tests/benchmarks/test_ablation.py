"""benchmarks/ablation.py: what it would run, what it keeps, what it makes of the figures."""

import itertools
import json
from pathlib import Path

import pytest

import ablation
from faim.cli import build_parser
from faim.errors import FaimError
from faim.training.options import read_options
from lab import jobs as training_jobs
from studies.ablation import figures, plan
from studies.ablation import report as reporting


def options(out, *more):
    asked = ablation._parser().parse_args(["--out", str(out), *more])
    asked.chosen = plan.PRESETS[asked.preset]
    return asked


def touch(out):
    for file in (out / "base.safetensors", out / "train/annotations.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def dataset():
    """Two videos of one frame with an object of 10 x 10 pixels each."""
    frame = {"width": 32, "height": 32, "frame_id": 0, "degradation": "clear"}
    ids = {"category_id": 1, "iscrowd": 0, "area": 100, "bbox": [4, 4, 10, 10], "instance_id": 1}
    return {
        "categories": [{"id": 1, "name": "dots"}],
        "videos": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "images": [{"id": i, "video_id": i, "file_name": f"{i}.png", **frame} for i in (1, 2)],
        "annotations": [{"id": i, "image_id": i, "video_id": i, **ids} for i in (1, 2)],
    }


class FakeFaim:
    """`faim`, whose FAIM finds both objects in global mode and one in the others."""

    def __init__(self):
        self.lines = []

    def __call__(self, line):
        self.lines.append(line)
        return getattr(self, f"_{line[0]}")(dict(itertools.pairwise(line))) or 0

    def _synth(self, given):
        folder = Path(given["--out"])
        folder.mkdir(parents=True)
        (folder / "annotations.json").write_text(json.dumps(dataset()))

    def _train(self, given):
        Path(given["-o"]).mkdir(parents=True, exist_ok=True)
        (Path(given["-o"]) / "weights.safetensors").write_bytes(b"")

    def _eval(self, given):
        folder = Path(given["--out"])
        folder.mkdir(parents=True, exist_ok=True)
        wanted = given.get("--mode", "all")
        modes = {}
        for mode in figures.MODES if wanted == "all" else (wanted,):
            found = (1, 2) if "faim" in given["-c"] and mode == "global" else (1,)
            box = {"category_id": 1, "bbox": [4, 4, 10, 10], "score": 0.9}
            rows = [{"image_id": i, **box} for i in found]
            (folder / f"detections_{mode}.json").write_text(json.dumps(rows))
            value = 50.0 * len(found)
            modes[mode] = dict.fromkeys(figures.FIGURES, value)
            modes[mode]["by_degradation"] = {"clear": {"ap50": value}}
            modes[mode]["by_speed"] = {"slow": {"ap50": None}, "fast": {"ap50": value}}
        (folder / "run.json").write_text(json.dumps({"modes": modes}))


@pytest.fixture
def fake(monkeypatch):
    command = FakeFaim()
    monkeypatch.setattr(training_jobs, "faim", command)
    monkeypatch.setattr(ablation, "load_model", lambda *a, **k: None)
    monkeypatch.setattr(ablation, "save_checkpoint", lambda path, model: path.write_bytes(b"base"))
    return command


# -- the plan


def test_rows_differ_from_faim_in_their_settings_alone(tmp_path):
    touch(tmp_path)
    asked = options(tmp_path)
    (reference,) = (row for row in plan.ROWS if row.name == plan.REFERENCE)
    faim = plan.training(reference, 1, asked).commands[0]
    for row in plan.ROWS:
        job = plan.training(row, 1, asked)
        train = build_parser().parse_args(job.commands[0])
        experiment = read_options(train).experiment
        config = experiment.config(("a", "b"))
        if row.frames is None:
            own = job.commands[0][: len(job.commands[0]) - len(row.settings)]
            swapped = [str(job.run), row.exp]
            assert [part for part in own if part not in swapped] == [
                part for part in faim if part not in (faim[faim.index("-o") + 1], faim[2])
            ]
        # As many steps of two videos, whatever m, but where an epoch is longer.
        samples = 150 * -(-32 // config.train_frames)
        steps = experiment.max_epochs * samples / experiment.batch_size
        assert steps == (600 if config.train_frames == 4 else 300)
        assert experiment.batch_size == 2
        assert experiment.learning_rate == pytest.approx(2e-3)
        assert (config.variant, config.test_size) == ("nano", (256, 256))
    kinds = {
        row.name: read_options(
            build_parser().parse_args(plan.training(row, 0, asked).commands[0])
        ).experiment.config(("a",))
        for row in plan.ROWS
    }
    assert kinds["YOLOV + IFEM"].architecture == "yolov_ifem"
    assert kinds["FAIM"].mask_levels == ("own",)
    assert kinds["P3"].mask_levels == ("P3",)
    assert kinds["P5"].mask_levels == ("P5",)
    assert kinds["no upsampling"].mask_upsampling == "none"
    assert not kinds["instance map unguided"].guide_ins
    assert kinds["FAIM, identity"].identity_weight == 0.3
    assert kinds["class-agnostic"].mask_classes == 1
    assert not kinds["no affinity average"].affinity_average
    assert not kinds["no score guidance"].guide_cls
    assert kinds["λ = 0.5"].mask_weight == 0.5


def test_the_steps_are_whole_epochs_whatever_m():
    for name, preset in plan.PRESETS.items():
        for frames in (4, 8, 16, 32):
            samples = preset.videos * -(-preset.frames // frames)
            epochs = plan.epochs_of(preset, None, frames)
            # One epoch of the small preset is twice as long at m = 4, with as many frames.
            longer = 2 if (name, frames) == ("small", 4) else 1
            assert epochs * samples == longer * preset.steps * preset.batch


def test_the_rows_of_the_first_table_come_first(tmp_path):
    touch(tmp_path)
    jobs = plan.jobs_of(plan.chosen_rows(None), options(tmp_path))
    names = ["YOLOV", "YOLOV + IFEM", "FAIM, λ = 0", "FAIM", "FAIM, identity"]
    assert [(job.row, job.seed) for job in jobs[:15]] == [(n, s) for s in (0, 1, 2) for n in names]
    assert [job.seed for job in jobs[15:]] == [0] * (len(plan.ROWS) - 5)
    quick = plan.chosen_rows(None, whole=False)
    assert [row.name for row in quick[:5]] == names
    assert "Dice" not in [row.name for row in quick]
    few = plan.jobs_of(plan.chosen_rows(["Dice"]), options(tmp_path, "--seeds", "4", "5"))
    assert [(job.row, job.seed) for job in few] == [
        ("FAIM", 4), ("FAIM", 5), ("Dice", 4), ("Dice", 5),
    ]  # fmt: skip


def test_evaluations_and_the_base_are_commands_of_faim(tmp_path):
    touch(tmp_path)
    asked = options(tmp_path, "--preset", "full")
    trained = plan.training(plan.ROWS[2], 0, asked)
    jobs = [*plan.proposals_jobs(trained, asked).values()]
    jobs += plan.reference_jobs(trained, asked).values()
    for job in jobs:
        build_parser().parse_args(job.commands[0])
    found = plan.reference_jobs(trained, asked)["stream, recent", "8"].commands[0]
    assert found[found.index("--bank") + 1] == "7"
    synth, easy, hard = (build_parser().parse_args(line) for line in plan.base_training(asked))
    assert (synth.videos, synth.size, synth.edition) == (5000, 384, 2)
    assert read_options(easy).experiment.input_size == (384, 384)
    assert read_options(hard).experiment.variant == "s"


# -- the figures


def test_gain_is_paired_by_seed_and_by_video():
    def content(whole, **videos):
        return {"modes": {"global": {"ap50": whole}}, "videos": {"global": videos}}

    row = {"0": content(60.0, a=50.0, b=70.0), "1": content(64.0, a=60.0, b=70.0)}
    other = {"0": content(50.0, a=50.0, b=50.0), "1": content(60.0, a=62.0, b=50.0)}
    found = figures.gain(row, other, "global")
    assert found["each"] == {"0": 10.0, "1": 4.0}
    assert found["mean"] == 7.0
    # Video a: 0 and -2, b: 20 and 20.
    assert found["videos"]["mean"] == pytest.approx((-1 + 20) / 2)
    assert (found["videos"]["better"], found["videos"]["worse"]) == (1, 1)
    assert found["videos"]["low"] == pytest.approx(-1)
    assert found["videos"]["high"] == pytest.approx(20)


def test_interval_of_equal_values_is_a_point():
    assert figures.interval([3.0, 3.0, 3.0]) == (3.0, 3.0)
    low, high = figures.interval(list(range(100)))
    # Standard error 2.89 around 49.5.
    assert low == pytest.approx(49.5 - 1.96 * 2.89, abs=0.6)
    assert high == pytest.approx(49.5 + 1.96 * 2.89, abs=0.6)


def test_company_is_by_the_objects_of_a_class(tmp_path):
    content = dataset()
    content["annotations"].append({**content["annotations"][0], "id": 3, "instance_id": 2})
    content["videos"].append({"id": 3, "name": "empty"})
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    found = figures.company(figures.CocoVid(tmp_path / "annotations.json"))
    named = {kind: [video.name for video in videos] for kind, videos in found.items()}
    assert named == {"alike": ["a"], "distinct": ["b"]}


def test_what_a_viewer_sees_is_taken_from_the_detections(tmp_path, fake):
    content = dataset()
    content["categories"].append({"id": 2, "name": "rings"})
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    fake._eval({"--out": str(tmp_path), "--mode": "frame", "-c": "yolox"})
    file = tmp_path / "detections_frame.json"
    rows = json.loads(file.read_text())
    # Another class on the second object, beside a box that is not shown.
    rows += [{**rows[0], "image_id": 2, "category_id": 2}, {**rows[0], "score": 0.29}]
    file.write_text(json.dumps(rows))
    found = figures.read_evaluation(tmp_path, tmp_path / "annotations.json")["modes"]["frame"]
    assert (found["wrong_labels"], found["boxes_per_frame"]) == (50.0, 1.0)
    assert found["found_share"] == 50.0


# -- the whole


def docs_of(tmp_path):
    docs = tmp_path / "docs"
    (docs / "images").mkdir(parents=True)
    text = f"before\n{reporting.BEGIN}\nold\n{reporting.END}\nafter\n"
    (docs / "results.md").write_text(text)
    return docs


def test_from_data_to_tables(tmp_path, fake, capsys):
    docs, out = docs_of(tmp_path), tmp_path / "out"
    line = ["--out", str(out), "--docs", str(docs), "--rows", "YOLOV", "Dice"]
    assert ablation.main(line) == 0
    text = (docs / "results.md").read_text()
    assert text.startswith("before\n<!-- ablation: begin -->\n\n**Components**")
    assert text.endswith("<!-- ablation: end -->\nafter\n")
    assert "old" not in text
    # One box, and a right one, in two frames.
    alone = "50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 0.0 | 0.50"
    assert f"| YOLOX, frame by frame | - | {alone} | - | - |" in text
    faim = next(row for row in text.splitlines() if row.startswith("| FAIM | 3"))
    assert "| 50.0 ± 0.0 | 100.0 ± 0.0 |" in faim
    assert "| 0.0 ± 0.0 | 1.00 ± 0.00 |" in faim
    assert "| +0.0 ± 0.0 / +50.0 ± 0.0 |" in faim
    # YOLOV misses what FAIM finds: one video of two.
    assert "| -50.0 (-100.0 … +0.0) |" in text
    assert "| clear | 50.0 | 50.0 ± 0.0 | 100.0 ± 0.0 |" in text
    assert "| slow |" not in text
    # The two videos have an object each.
    assert "| FAIM | 100.0 ± 0.0 |" in text.partition("objects of a video, global")[2]
    assert "every class once |" in text
    assert "several objects" not in text
    report = json.loads((docs / "ablation.json").read_text())
    assert report["gain_over_faim"]["Dice"]["global"]["videos"]["worse"] == 1
    assert (docs / "images/ablation.png").stat().st_size > 10_000
    trained = sum(each[0] == "train" for each in fake.lines)
    assert trained == 7
    assert "| other frames |" in text
    assert ablation.main([*line, "--rows-only"]) == 0
    assert "| other frames |" not in (docs / "results.md").read_text()
    assert sum(each[0] == "train" for each in fake.lines) == trained
    capsys.readouterr()


def test_kept_results_without_a_figure_are_read_again_and_nothing_is_run(tmp_path, fake, capsys):
    out = tmp_path / "out"
    line = ["--out", str(out), "--rows", "YOLOV", "--seeds", "3"]
    assert ablation.main(line) == 0
    kept = [out / "base.json", out / "rows/yolov_3.json", out / "rows/n_10.json"]
    for file in kept:
        content = json.loads(file.read_text())
        for figures_of_mode in content["modes"].values():
            assert figures_of_mode.pop("boxes_per_frame") in (0.5, 1.0)
        file.write_text(json.dumps({**content, "seconds": 100.0}))
    fake.lines.clear()
    report = ablation.run(options(out, "--rows", "YOLOV", "--seeds", "3"))
    assert fake.lines == []
    assert report["summary"]["YOLOV"]["stream"]["boxes_per_frame"]["mean"] == 0.5
    for file in kept:
        content = json.loads(file.read_text())
        assert content["modes"]["frame"]["boxes_per_frame"] == 0.5
        assert 100 <= content["seconds"] < 110
    assert 300 <= report["seconds"] < 330
    capsys.readouterr()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--rows", "FIAM"], "--rows FIAM: no such row; expected some of YOLOV, "),
        (["--docs", "nowhere"], "results.md: cannot be read"),
        (["--weights", "/no/such.pth"], "/no/such.pth: cannot be read"),
    ],
)
def test_wrong_input(more, sentence, tmp_path, fake, capsys):
    assert ablation.main(["--out", str(tmp_path / "out"), *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ablation: ")
    assert sentence in err


def test_results_without_marks_are_refused_before_the_work(tmp_path, fake):
    docs = docs_of(tmp_path)
    (docs / "results.md").write_text("no marks")
    with pytest.raises(FaimError, match="lacks the marks; expected lines"):
        ablation.run(options(tmp_path / "out", "--docs", str(docs)))
    assert fake.lines == []
