"""What an earlier run left may hold anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees_other import write_image, write_text

from faim.data.coco_vid import CocoVid
from faim.data.converters import yolo_folder
from faim.data.converters.yolo_folder import convert_yolo_folder
from faim.errors import FaimError
from faim.jobs.unfinished import Unfinished


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000 + b"\n",
        b'["a", ' + b"9" * 5000 + b"]\n",
        b'"ab"\n',
        b'{"a": 1, "b": 2}\n',
        b"\xff\xfe\n",
        b'["a", 1]',
    ],
)
def test_lines_that_are_none_are_dropped(tmp_path: Path, line: bytes) -> None:
    out = tmp_path / "a.json"
    with Unfinished(out) as unfinished:
        unfinished.append("sound", b"3")
        (unfinished.folder / "videos.jsonl").open("ab").write(line)
        unfinished._scan()
        assert "sound" in unfinished
        assert list(unfinished.read(["sound"])) == [3]
        assert unfinished._lines.keys() == {"sound"}


def test_other_values_under_the_right_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "set/a/1.jpg")
    write_text(tmp_path / "set/classes.txt", "cat")
    out = tmp_path / "a.json"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("faim.data.converters.builder.write_coco_vid", stop)
        with pytest.raises(KeyboardInterrupt):
            yolo_folder.convert_yolo_folder(tmp_path / "set", out)
    kept = tmp_path / "a.json.part/videos.jsonl"
    kept.write_bytes(kept.read_bytes()[:36] + b"5]\n")
    with pytest.raises(FaimError, match=r"holds other values than this program keeps; expected"):
        convert_yolo_folder(tmp_path / "set", out)
    kept.unlink()
    convert_yolo_folder(tmp_path / "set", out)
    assert len(CocoVid(out).frames) == 1
