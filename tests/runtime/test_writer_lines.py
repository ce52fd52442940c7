"""CSV and MOT files."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from writer_helpers import fill, result, results

from faim.errors import FaimError
from faim.runtime.writers.csv_rows import CsvSink
from faim.runtime.writers.mot import MotSink


def test_csv_has_a_row_a_detection(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = CsvSink(path)
    given = [*results()[:3], result(3, [(7, 2, 0.5, (1, 2, 3, 4))], file="b/é,\udce9.jpg")]
    sink.write(given[0])
    assert len(path.read_text().splitlines()) == 3  # whole before it is closed
    fill(sink, given[1:])
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == "frame,time,file,track_id,class_id,label,score,x1,y1,x2,y2"
    assert ",".join(rows[1].values()) == "0,0.0,,2,1,cat,0.6,32.0,0.0,64.0,24.0"
    assert [row["track_id"] for row in rows] == ["1", "2", "1", "2", "", "7"]
    assert [row["time"] for row in rows] == ["0.0", "0.0", "0.04", "0.04", "0.08", "0.12"]
    assert rows[4]["x2"] == "16.26"
    assert (rows[5]["file"], rows[5]["label"]) == ("b/é,\\udce9.jpg", "a/b: c")


def test_csv_without_detections_has_its_header(tmp_path: Path) -> None:
    fill(CsvSink(tmp_path / "a.csv"), [result(0, [])])
    assert (tmp_path / "a.csv").read_text().count("\n") == 1
    fill(CsvSink(tmp_path / "b.csv"), [])
    assert not (tmp_path / "b.csv").exists()


def test_mot_of_tracks_holds_tracks_alone(tmp_path: Path) -> None:
    path = tmp_path / "walk.txt"
    twice = result(5, [(3, 0, 0.9, (0, 0, 10, 10)), (3, 1, 0.3, (0, 0, 10, 10))])
    fill(MotSink(path), [*results(), twice])
    rows = np.loadtxt(path, delimiter=",")
    # frame, id, left, top, width, height, confidence, class, x, y; all but the last two from 1
    assert rows[0].tolist() == [1, 1, 11, 9, 20, 32, 0.9, 1, -1, -1]
    assert rows[1].tolist() == [1, 2, 33, 1, 32, 24, 0.6, 2, -1, -1]
    assert rows[:, :2].astype(int).tolist() == [
        [1, 1],
        [1, 2],
        [2, 1],
        [2, 2],
        [4, 1],
        [5, 1],
        [6, 3],
    ]


def test_mot_without_tracks_is_detections(tmp_path: Path) -> None:
    fill(MotSink(tmp_path / "det.txt"), results(tracks=False))
    rows = np.loadtxt(tmp_path / "det.txt", delimiter=",")
    assert rows[:, 0].tolist() == [1, 1, 2, 2, 3, 4, 5]
    assert (rows[:, 1] == -1).all()


def test_trackeval_reads_mot(tmp_path: Path) -> None:
    trackeval = pytest.importorskip("trackeval")
    sequence = tmp_path / "gt" / "walk"
    (sequence / "gt").mkdir(parents=True)
    (sequence / "seqinfo.ini").write_text("[Sequence]\nname=walk\nseqLength=5\n")
    truth = [(1, 10), (2, 12), (4, 16), (5, 18)]
    rows = [f"{frame},1,{left + 1},9,20,32,1,1,1" for frame, left in truth]
    (sequence / "gt" / "gt.txt").write_text("\n".join(rows))
    data = tmp_path / "trackers" / "faim" / "data"
    data.mkdir(parents=True)
    people = [result(n, [row for row in rows if row[0] == 1][:1]) for n, rows in _people()]
    fill(MotSink(data / "walk.txt"), people)
    config = {
        "GT_FOLDER": str(tmp_path / "gt"),
        "TRACKERS_FOLDER": str(tmp_path / "trackers"),
        "SEQ_INFO": {"walk": None},
        "SKIP_SPLIT_FOL": True,
        "PRINT_CONFIG": False,
    }
    dataset = trackeval.datasets.MotChallenge2DBox(config)
    raw = dataset.get_raw_seq_data("faim", "walk")
    figures = trackeval.metrics.CLEAR({"PRINT_CONFIG": False}).eval_sequence(
        dataset.get_preprocessed_seq_data(raw, "pedestrian")
    )
    assert figures["MOTA"] == 1.0
    assert figures["CLR_TP"] == 4


def _people():  # type: ignore[no-untyped-def]
    from writer_helpers import FRAMES

    for number, rows in enumerate(FRAMES):
        yield number, [(track, 0, score, box) for track, _, score, box in rows]


@pytest.mark.parametrize("sink", [CsvSink, MotSink])
@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/full")
def test_a_full_disk_is_one_sentence(sink: type) -> None:
    full = sink("/dev/full")
    with pytest.raises(FaimError, match=r"/dev/full: cannot be written \(No space left"):
        full.write(results()[0])
    full.close()


@pytest.mark.parametrize("sink", [CsvSink, MotSink])
def test_no_folder_is_told_at_once(tmp_path: Path, sink: type) -> None:
    with pytest.raises(FaimError, match=r"gone/a: cannot be written"):
        sink(tmp_path / "gone" / "a")
