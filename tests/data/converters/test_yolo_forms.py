"""What label lines hold is decided for a whole data set, by evidence or by what the user says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from trees_other import write_image, write_text

from faim.data.coco_vid import CocoVid, FrameRecord
from faim.data.converters.yolo_folder import convert_yolo_folder
from faim.errors import FaimError

BOX = "0 0.5 0.5 0.2 0.4"  # 24, 12 to 36, 28 in images of 60x40
CORNERS = (24, 12, 36, 28)


def pose(points: int, dimensions: int, seed: int = 0, *, inside: bool = True) -> str:
    """A line with keypoints in its box."""
    random = np.random.default_rng(seed)
    reach = 0.5 if inside else 5.0
    xy = (0.5, 0.5) + random.uniform(-reach, reach, (points, 2)) * (0.2, 0.4)
    cells = [[f"{x:.4f}", f"{y:.4f}", "2"][:dimensions] for x, y in np.clip(xy, 0, 1)]
    return " ".join([BOX, *(cell for point in cells for cell in point)])


def polygon(points: int, seed: int = 0) -> str:
    """A line around a small object away from the image's middle."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False) + seed
    x, y = 0.2 + 0.1 * np.cos(angle), 0.3 + 0.1 * np.sin(angle)
    return " ".join(["0", *(f"{value:.4f}" for value in np.stack([x, y], 1).ravel())])


def convert(
    root: Path, lines: Sequence[str], *, shape: str = "", labels: str | None = None
) -> list[FrameRecord]:
    """One line a frame."""
    for number, line in enumerate(lines):
        write_image(root / f"images/{number}.jpg")
        write_text(root / f"labels/{number}.txt", line)
    (root / "data.yaml").write_text(f"names: [cat, dog]\n{shape}\n")
    convert_yolo_folder(root, root / "a.json", labels=labels)
    return CocoVid(root / "a.json").frames


@pytest.mark.parametrize(
    ("lines", "shape", "track"),
    [
        ([BOX, BOX], "", False),
        ([f"{BOX} 0.93", f"{BOX} 1"], "", False),
        ([f"{BOX} 3", BOX], "", True),  # a box whose track is not known
        ([f"{BOX} 0.93 7", f"{BOX} 0.4"], "", True),  # what `yolo track save_txt save_conf` writes
        ([f"{BOX} 0.93 1"] * 10, "", True),
        ([pose(17, 3), pose(17, 3, 1)], "", False),
        ([pose(17, 3)], "kpt_shape: [17, 3]", False),
        ([pose(5, 2)], "kpt_shape: [5, 2]", False),
        ([pose(5, 2, inside=False)], "kpt_shape: [5, 2]", False),
        ([f"{pose(5, 2)} 0.9", f"{pose(5, 2)} 0.8"], "kpt_shape: [5, 2]", False),
        ([f"{pose(5, 2)} 4", f"{pose(5, 2)} 4"], "kpt_shape: [5, 2]", True),
        ([f"{pose(5, 2)} 0.9 4", f"{pose(5, 2)} 0.9 4"], "kpt_shape: [5, 2]", True),
        ([pose(5, 2, seed) for seed in range(10)], "", False),
    ],
)
def test_the_box_is_found(tmp_path: Path, lines: list[str], shape: str, track: bool) -> None:
    frames = convert(tmp_path, lines, shape=shape)
    for frame in frames:
        (found,) = frame.annotations
        assert found.box == pytest.approx(CORNERS)
        assert found.segmentation is None
    assert (frames[0].annotations[0].instance_id > 0) == track


def test_polygons_of_any_length_and_boxes_between_them(tmp_path: Path) -> None:
    lines = [polygon(points, points) for points in (3, 4, 7, 9, 12)]
    frames = convert(tmp_path, [*lines, f"{polygon(5)} 8", BOX])
    assert all(frame.annotations[0].segmentation for frame in frames[:-1])
    assert [frame.annotations[0].instance_id > 0 for frame in frames] == [False] * 5 + [True, False]
    x1, _, x2, _ = frames[4].annotations[0].box
    assert (x1, x2) == pytest.approx((6, 18), abs=0.5)
    assert frames[-1].annotations[0].box == pytest.approx(CORNERS)


@pytest.mark.parametrize(
    ("lines", "shape"),
    [
        ([BOX, f"{BOX} 0.93 7", pose(17, 3), pose(5, 2)], ""),  # of every form one
        ([BOX, f"{BOX} 0.9"], ""),
        ([f"{BOX} 0.9", f"{BOX} 7"], ""),
        ([f"{BOX} 0.93 1"], ""),  # or a triangle
        ([pose(5, 2)], ""),  # or a polygon of seven points
        ([f"{pose(17, 3)} 0.9"], ""),  # or one of 28
        ([polygon(4)] * 3, ""),  # or turned boxes
        ([pose(5, 2)], "kpt_shape: [4, 2]"),
        ([f"{polygon(3)} 0.5", f"{polygon(4)} 0.5"], ""),  # a confidence behind a polygon
    ],
)
def test_what_cannot_be_told_is_refused_with_the_option(
    tmp_path: Path, lines: list[str], shape: str
) -> None:
    with pytest.raises(FaimError, match=r"form cannot be told \(.*or --labels with one of box, "):
        convert(tmp_path, lines, shape=shape)


@pytest.mark.parametrize(
    ("line", "labels", "corners"),
    [
        (f"{BOX} 0.93 1", "box+confidence+track", CORNERS),
        (f"{BOX} 1", "box+confidence", CORNERS),
        (pose(5, 2), "pose", CORNERS),
        (f"{pose(5, 2)} 7", "pose+track", CORNERS),
        ("0 0.2 0.5 0.3 0.25 0.4 0.5 0.3 0.75", "obb", (12, 10, 24, 30)),
        ("0 0.2 0.5 0.3 0.25 0.4 0.5 0.3 0.75 0.9", "polygon+confidence", (12, 10, 24, 30)),
        ("0 0.2 0.5 0.3 0.25 0.4 0.5 0.9 7", "polygon+confidence+track", (12, 10, 24, 20)),
    ],
)
def test_the_user_says_the_form(
    tmp_path: Path, line: str, labels: str, corners: tuple[float, ...]
) -> None:
    (frame,) = convert(tmp_path, [line], labels=labels)
    (found,) = frame.annotations
    assert found.box == pytest.approx(corners, abs=0.01)
    assert (found.segmentation is not None) == labels.startswith("polygon")
    assert (found.instance_id > 0) == labels.endswith("track")


def test_there_is_no_such_form(tmp_path: Path) -> None:
    with pytest.raises(FaimError, match=r"labels is 'circle'; expected one of box, box\+conf"):
        convert(tmp_path, [BOX], labels="circle")
