"""The usual layout of YOLO data sets: `data.yaml`, its splits, and names that say the video."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from trees_other import write_image, write_text

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.data.converters.yolo_folder import convert_yolo_folder
from faim.data.converters.yolo_videos import group_frames
from faim.errors import FaimError

BOX = "0 0.5 0.5 0.2 0.4"
HASH = "0123456789abcdef" * 2


def usual(root: Path, yaml: str) -> None:
    """Two clips of train and one of val in one folder each."""
    for split, names in (
        ("train", ("cam1_000009", "cam1_000010", "clip-3_frame_07", "clip-3_frame_08")),
        ("val", ("cam2_1", "cam2_2", "cam2_10")),
    ):
        for name in names:
            write_image(root / f"images/{split}/{name}.jpg")
            write_text(root / f"labels/{split}/{name}.txt", BOX)
    (root / "data.yaml").write_text(yaml)


YAML = "path: .\ntrain: images/train\nval: images/val\ntest: images/test\nnames: {0: cat}\n"


def test_each_split_is_a_file_and_each_clip_a_video(tmp_path: Path) -> None:
    usual(tmp_path, YAML)
    assert main(["data", "convert", "yolo", str(tmp_path), "--out", str(tmp_path / "a.json")]) == 0
    train, val = CocoVid(tmp_path / "a_train.json"), CocoVid(tmp_path / "a_val.json")
    assert [video.name for video in train.videos] == ["train/cam1", "train/clip-3_frame"]
    assert [[frame.path.stem for frame in video.frames] for video in val.videos] == [
        ["cam2_1", "cam2_2", "cam2_10"]
    ]
    assert [video.name for video in val.videos] == ["val"]
    assert [frame.frame_id for frame in val.frames] == [0, 1, 2]
    arguments = ["data", "convert", "yolo", str(tmp_path), "--split", "val"]
    assert main([*arguments, "--out", str(tmp_path / "b.json")]) == 0
    assert len(CocoVid(tmp_path / "b.json").frames) == 3
    assert not (tmp_path / "b_val.json").exists()


@pytest.mark.parametrize(
    "yaml",
    [
        "path: /of/another/machine\ntrain: images/train\nval: [images/val]\nnames: [cat]\n",
        "train: ../images/train\nval: ../images/val\nnc: 1\nnames: [cat]\n",  # Roboflow's
        "train: lists/train.txt\nval: images/val\nnames: ['cat']\n",
    ],
)
def test_paths_of_the_yaml(tmp_path: Path, yaml: str) -> None:
    root = tmp_path / "set"
    usual(root, "")
    (root / "data.yaml").write_text("\ufeff" + yaml, encoding="utf-8")
    images = sorted((root / "images/train").iterdir())
    write_text(root / "lists/train.txt", *(f"../images/train/{image.name}" for image in images))
    summary = convert_yolo_folder(root, root / "a.json", split="train")
    assert (summary.videos, summary.frames, summary.annotations) == (2, 4, 4)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: none\nnames: [cat]", "train is .*none, which is not there"),
        ("train: 3\nnames: [cat]", "has train 3; expected a folder"),
        ("train: images/train\nnc: 3\nnames: [cat]", "has nc 3 and 1 names"),
        ("path: [a]\nnames: [cat]", r"has path \['a'\]; expected a folder"),
        ("kpt_shape: [17]\nnames: [cat]", r"has kpt_shape \[17\]; expected the number of points"),
        ("kpt_shape: 'many'\nnames: [cat]", "has kpt_shape 'many'"),
        ("train: images/train\nnames: [cat, cat]", "2 classes are named 'cat'"),
        ('train: images/train\nnames: ["\\ud800"]', r"a class is named '\\ud800'"),
        ('train: images/train\nnames: ["\\e[2J"]', r"a class is named '\\x1b\[2J'"),
        ("names: [cat]", "has no split 'train'; expected one of its: none"),
    ],
)
def test_wrong_yaml_is_one_sentence(tmp_path: Path, yaml: str, message: str) -> None:
    usual(tmp_path, yaml)
    with pytest.raises(FaimError, match=message) as caught:
        convert_yolo_folder(tmp_path, tmp_path / "a.json", split="train")
    assert "\n" not in str(caught.value)


def test_a_bomb_of_aliases_is_one_short_sentence(tmp_path: Path) -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    usual(tmp_path, "\n".join([*lines, "names: *a8"]))
    with pytest.raises(FaimError, match="aliases stand for more than 1000000 values") as caught:
        convert_yolo_folder(tmp_path, tmp_path / "a.json")
    assert len(str(caught.value)) < len(str(tmp_path)) + 150


@pytest.mark.parametrize(
    ("stems", "groups"),
    [
        (["2", "10", "1"], {"": ["1", "2", "10"]}),
        (["a_2", "a_10", "b_1"], {"a": ["a_2", "a_10"], "b": ["b_1"]}),
        (
            [f"x_{n}_jpg.rf.{HASH}" for n in (2, 1)] + [f"y-1_png.rf.{HASH}"],
            {"x": [f"x_{n}_jpg.rf.{HASH}" for n in (1, 2)], "y": [f"y-1_png.rf.{HASH}"]},
        ),
        (["01_left", "02_left", "01_right"], {
            "left": ["01_left", "02_left"], "right": ["01_right"]}),
        (["cat", "dog"], {"cat": ["cat"], "dog": ["dog"]}),
        (["a_1", "a-1"], {"a-": ["a-1"], "a_": ["a_1"]}),
        (["9" * 250], {"": ["9" * 250]}),
    ],
)  # fmt: skip
def test_videos_by_names(stems: list[str], groups: dict[str, list[str]]) -> None:
    found = group_frames([Path(f"images/{stem}.jpg") for stem in stems])
    assert {group.name: [image.stem for image in group.images] for group in found} == groups


def test_texts_with_a_byte_order_mark_and_others(tmp_path: Path) -> None:
    write_image(tmp_path / "images/1.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/1.txt").write_bytes(b"\xef\xbb\xbf" + BOX.encode())
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n")
    convert_yolo_folder(tmp_path, tmp_path / "a.json")
    data = CocoVid(tmp_path / "a.json")
    assert data.classes == ("cat", "dog")
    assert data.frames[0].annotations[0].box == pytest.approx((24, 12, 36, 28))
    (tmp_path / "classes.txt").write_bytes("cat\r\n".encode("utf-16"))
    with pytest.raises(FaimError, match=r"classes\.txt: is UTF-16 text; expected one class name"):
        convert_yolo_folder(tmp_path, tmp_path / "a.json")


def test_neighbours_of_different_scenes_are_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    scene = cv2.GaussianBlur(random.integers(0, 256, (120, 160, 3), np.uint8), (0, 0), 12)
    for number in range(8):
        other = random.integers(0, 256, (8, 8, 3), np.uint8)
        unlike = cv2.resize(other, (160, 120), interpolation=cv2.INTER_NEAREST)
        for name, image in (("moving", np.roll(scene, 4 * number, 1)), ("mixed", unlike)):
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), image)
    summary = convert_yolo_folder(tmp_path, tmp_path / "a.json", names=("cat",))
    kind = "video whose neighbouring frames do not look alike"
    assert summary.problems.counts == {kind: 1}
    assert f"{tmp_path}/mixed/" in summary.problems.examples[kind]
    assert json.loads((tmp_path / "a.json").read_text())["images"][0]["width"] == 160


def test_the_small_inputs_that_went_wrong(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(FaimError, match=r"form cannot be told .*--labels"):
        convert_yolo_folder(shared / "cases/yolo", tmp_path / "a.json")
