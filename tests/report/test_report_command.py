"""`faim report` as a user meets it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_cases import perfect, write_data, write_run

from faim.cli import main
from faim.report import sections
from faim.report.features import MOST_POINTS

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would make of the page: text, images, and whether tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.images: list[str] = []
        self.text = ""
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        self.images += [v or "" for k, v in attrs if k == "alt"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data
            if self.open[-1] in ("td", "th"):
                self.cells.append(data.strip())


def report(out: Path, *arguments: object) -> Page:
    assert main(["report", *map(str, arguments), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert len(text) < 5_000_000
    page = Page(text)
    assert not page.open
    # Nothing is fetched from anywhere.
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in page.addresses)
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    assert "script" not in page.tags
    return page


def refused(capsys: pytest.CaptureFixture[str], arguments: list[object], *words: str) -> None:
    capsys.readouterr()
    assert main(["report", *map(str, arguments)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Traceback" not in told
    for word in words:
        assert word in told, told


@pytest.fixture
def runs(tmp_path: Path, annotations: Path) -> list[Path]:
    figures: dict[str, dict[str, Any]] = {
        "stream": {
            "ap50": 88.0,
            "per_class": {"cat": {"ap50": 90.0}, "dog": {"ap50": 86.0}},
            "by_speed": {"fast": {"ap50": 41.5}},
            "errors": {"missed": 7.25},
            "class_switches": 3,
        }
    }
    return [
        write_run(tmp_path / "one", annotations, {"stream": perfect(but=[3, 30])}, figures),
        write_run(tmp_path / "two", annotations, {"stream": perfect(), "global": perfect()}),
    ]


def test_a_page_of_two_runs(runs: list[Path], tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", *runs)
    rows = " ".join(page.cells)
    assert "AP50 88.0 50.0 50.0" in rows
    assert "fast, AP50 41.5 \N{EN DASH} \N{EN DASH}" in rows
    assert "missed 7.2 " in rows
    assert "class switches 3.0" in rows
    assert "annotations.json, 2 videos, 48 frames, 2 classes" in page.text
    assert page.tags.count("svg") == 3 + 2 * 3  # three charts; two legends of three columns
    assert page.images == [
        "walk, frame 2, one · stream: 0 of 1 found, 0 wrong",
        "walk, frame 2, two · stream: 1 of 1 found, 0 wrong",
        "run, frame 5, one · stream: 0 of 1 found, 0 wrong",
        "run, frame 5, two · stream: 1 of 1 found, 0 wrong",
    ]


def test_the_same_page_every_time(runs: list[Path], tmp_path: Path) -> None:
    report(tmp_path / "a.html", *runs)
    report(tmp_path / "b.html", *runs)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_modes_frames_and_comparison(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    page = report(out, *runs, "--compare", "one:stream", "two:global", "--frames", 1)
    assert len(page.images) == 2
    assert "two · global" in page.images[1]
    page = report(out, *runs, "--mode", "global")
    assert "stream" not in page.text
    assert not page.images  # one column has nothing to compare with
    page = report(out, *runs, "--compare", "two:stream", "two:global")
    assert "In no frame do the two differ" in page.text


def test_names_are_text(annotations: Path, tmp_path: Path) -> None:
    name = "<script>alert('$x$ & y')</script>"
    run = write_run(
        tmp_path / "odd",
        annotations,
        {"stream": perfect()},
        {"stream": {"per_class": {"<b>$a_b$</b> & c": {"ap50": 1.0}}}},
        name=name,
        machine={"processor": "<i>x86</i>"},
    )
    page = report(tmp_path / "r.html", run)
    assert f"1 {name} · stream" in page.text
    assert "Measured on <i>x86</i>." in page.text
    assert "<b>$a_b$</b> & c" in page.text  # in the chart too, and not as a formula
    assert "i" not in page.tags


def test_missing_images_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "bare", images=False)
    runs = [
        write_run(tmp_path / "one", data, {"stream": []}),
        write_run(tmp_path / "two", data, {"stream": perfect()}),
    ]
    page = report(tmp_path / "r.html", *runs)
    told = "4 of 4 images are missing or of another size, and grey here; they were looked for in "
    told += str(data.parent)
    assert told in page.text
    assert told in capsys.readouterr().err
    assert len(page.images) == 8
    pictures = write_data(tmp_path / "pictures").parent
    assert "missing" not in report(tmp_path / "r.html", *runs, "--images", pictures).text


def test_missing_data_is_told(runs: list[Path], annotations: Path, tmp_path: Path) -> None:
    for run in runs:
        content = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**content, "data": "/gone/annotations.json"}))
    page = report(tmp_path / "r.html", *runs)
    assert "/gone/annotations.json is not there: no curves and no frames are shown" in page.text
    assert "Precision against recall" not in page.text
    page = report(tmp_path / "r.html", *runs, "--data", annotations)
    assert "Precision against recall" in page.text
    assert len(page.images) == 4


def test_features_before_and_after(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # t-SNE itself is tested elsewhere, and takes seconds.
    monkeypatch.setattr(sections, "place", lambda values: values[:, :2])
    labels = np.arange(1200) % 2
    before = np.random.default_rng(0).normal(size=(1200, 3))
    np.savez(runs[0] / "features.npz", labels=labels, before=before, after=before + labels[:, None])
    np.savez(runs[1] / "features.npz", labels=labels[:5], before=before[:5])
    page = report(tmp_path / "r.html", *runs)
    assert page.text.count("Before aggregation") == page.text.count("After aggregation") == 1
    assert "two: 5 proposals, too few for a map of features." in page.text
    points = page.addresses.count
    assert sum(points(a) for a in set(page.addresses) if points(a) > 300) == 2 * MOST_POINTS


def test_images_that_would_not_fit_are_left_out(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "MOST_IMAGE_CHARACTERS", 5000)
    page = report(tmp_path / "r.html", *runs)
    assert "1 more frames would make the page too large." in page.text
    assert len(page.images) == 2


def test_wrong_input(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], annotations: Path
) -> None:
    out = ["--out", tmp_path / "r.html"]
    refused(capsys, [tmp_path / "nothing", *out], "nothing: no such folder")
    refused(capsys, [annotations.parent, *out], "has no run.json")
    refused(capsys, [runs[0], runs[0], *out], "given twice")
    refused(capsys, [*runs, "--mode", "file", *out], "--mode: 'file' given")
    refused(capsys, [*runs, "--compare", "one:x", "two:global", *out], "no 'one:x' among the runs")
    refused(capsys, [*runs, "--compare", "one", "one:stream", *out], "expected two different ones")
    refused(capsys, [*runs, "--data", tmp_path / "no.json", *out], "no.json: no such file")
    refused(capsys, [*runs, "--images", annotations, *out], "--images:", "is no folder")
    other = write_data(tmp_path / "other", images=False)
    content = json.loads(other.read_text())
    content["categories"][0]["name"] = "cow"
    other.write_text(json.dumps(content))
    refused(capsys, [*runs, "--data", other, *out], "has other classes than")
    strange = write_run(tmp_path / "strange", other, {"stream": perfect()})
    refused(capsys, [runs[0], strange, *out], "expected runs on the same data")
    (runs[1] / "detections_global.json").write_text("[{]")
    refused(capsys, [*runs, *out], "detections_global.json: is not JSON")
    (runs[1] / "detections_global.json").unlink()
    refused(capsys, [*runs, *out], "has no detections_global.json")
    assert not (tmp_path / "r.html").exists()


def test_a_place_that_cannot_be_written(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, [*runs, "--out", tmp_path], "cannot be written")
    refused(capsys, [*runs, "--out", runs[0] / "run.json" / "r.html"], "cannot make its folder")
    assert (tmp_path / "one").is_dir()
