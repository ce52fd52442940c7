from __future__ import annotations

from pathlib import Path

import pytest
from trees import IMAGE_A, IMAGE_B, IMAGE_C, VAL_A, VAL_B, VIDEO_A, VIDEO_B, imagenet_tree

from faim.class_names import IMAGENET_VID_CLASSES
from faim.data.converters.imagenet_classes import CATEGORIES, CLASS_INDEX, WORDNET_IDS
from faim.data.converters.imagenet_lists import ImageJob, VideoJob, image_jobs, video_jobs
from faim.data.converters.items import Problems
from faim.errors import FaimError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return imagenet_tree(tmp_path)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_classes_have_their_own_wordnet_ids() -> None:
    assert len(WORDNET_IDS) == len(CLASS_INDEX) == 30
    names = {wordnet_id: IMAGENET_VID_CLASSES[index] for wordnet_id, index in CLASS_INDEX.items()}
    assert names["n02691156"] == "airplane"
    assert names["n02509815"] == "red_panda"
    assert names["n02129604"] == "tiger"
    assert names["n02391049"] == "zebra"
    assert CATEGORIES[8].name == "dog"
    assert CATEGORIES[8].extra == {"wordnet_id": "n02084071"}


def test_folders_count_without_a_list(root: Path) -> None:
    assert video_jobs(root, "train") == [VideoJob(VIDEO_A, None, 10), VideoJob(VIDEO_B, None, 10)]
    assert video_jobs(root, "train", every=3)[0] == VideoJob(VIDEO_A, None, 3)
    assert video_jobs(root, "val") == [VideoJob(VAL_A, None, 1), VideoJob(VAL_B, None, 1)]
    found = Problems()
    expected = [ImageJob(key, listed=False) for key in (IMAGE_B, IMAGE_A, IMAGE_C)]
    assert image_jobs(root, found) == expected
    assert not found.notes


def test_the_public_lists_in_their_places(root: Path) -> None:
    write(
        root / "ImageSets/VID/VID_train_15frames.txt",
        f"{VIDEO_B} 1 0 5",
        f"{VIDEO_A} 1 3 12",
        f"{VIDEO_A} 1 7 12",
    )
    assert video_jobs(root, "train") == [VideoJob(VIDEO_B, (0,)), VideoJob(VIDEO_A, (3, 7))]
    assert video_jobs(root, "train", every=2)[0] == VideoJob(VIDEO_A, None, 2)
    write(root / "Lists/VID_val_videos.txt", f"{VAL_B} 1 0 3", f"{VAL_A} 4 0 4")
    assert video_jobs(root, "val") == [VideoJob(VAL_B, range(3)), VideoJob(VAL_A, range(4))]
    assert video_jobs(root, "val", every=2)[1] == VideoJob(VAL_A, range(0, 4, 2))
    write(
        root / "ImageSets/DET_train_30classes.txt", f"{IMAGE_A} 1", f"{IMAGE_B} 1", f"{IMAGE_A} 1"
    )
    found = Problems()
    assert image_jobs(root, found) == [ImageJob(IMAGE_A), ImageJob(IMAGE_B)]
    assert found.notes == {"image listed before": 1}
    assert not found.counts


def test_lists_that_come_with_the_data(root: Path, tmp_path: Path) -> None:
    videos = write(tmp_path / "a.txt", VIDEO_A.removeprefix("train/") + " 1", VIDEO_B)
    assert video_jobs(root, "train", videos, every=4) == [
        VideoJob(VIDEO_A, None, 4),
        VideoJob(VIDEO_B, None, 4),
    ]
    frames = write(tmp_path / "b.txt", "ILSVRC2015_val_00000001/000000 1", f"{VAL_B}/000002 2")
    assert video_jobs(root, "val", frames) == [VideoJob(VAL_B, (0, 2))]
    with pytest.raises(FaimError, match=r"b\.txt: lists frames; expected a list of videos"):
        video_jobs(root, "val", frames, every=2)
    image = write(tmp_path / "c.txt", IMAGE_B.removeprefix("train/"))
    assert image_jobs(root, Problems(), image) == [ImageJob(IMAGE_B)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["", " "], "is empty; expected one video"),
        ([f"{VIDEO_A} 1 2"], "line 1 is .* expected a folder and three numbers"),
        ([VIDEO_B, f"{VIDEO_A} 1 x 12"], "line 2 is .* expected a folder and three numbers"),
        ([f"{VIDEO_A} 1 0 {'9' * 5000}"], "line 1 is .* expected a folder and three numbers"),
        ([f"{VIDEO_A} 1 12 12"], "line 1 has frame 12; expected one below 12"),
        ([f"{VAL_A} 1 0 4"], "line 1 is of val; expected --split train"),
    ],
)
def test_wrong_lists_are_one_sentence(
    root: Path, tmp_path: Path, lines: list[str], message: str
) -> None:
    path = write(tmp_path / "list.txt", *lines)
    with pytest.raises(FaimError, match=rf"list\.txt: {message}"):
        video_jobs(root, "train", path)


def test_missing_folders_and_lists(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FaimError, match=r"none\.txt: no such file"):
        video_jobs(root, "val", tmp_path / "none.txt")
    with pytest.raises(FaimError, match="Data/VID/test: no such folder; expected ImageNet VID's"):
        video_jobs(root, "test")
    with pytest.raises(FaimError, match="Annotations/DET/train: no such folder"):
        image_jobs(tmp_path, Problems())


def test_the_real_lists(shared: Path, root: Path) -> None:
    lists = shared / "data" / "ilsvrc"
    train = video_jobs(root, "train", lists / "VID_train_15frames.txt")
    assert len(train) == 3862
    assert sum(len(job.frames or ()) for job in train) == 57834
    assert train[0].frames == tuple(range(10, 300, 20))
    assert max(len(job.frames or ()) for job in train) == 15
    assert all(len(set(job.frames or ())) == len(job.frames or ()) for job in train)
    val = video_jobs(root, "val", lists / "VID_val_videos.txt")
    assert len(val) == 555
    assert sum(len(job.frames or ()) for job in val) == 176126
    assert val[0] == VideoJob(VAL_A, range(464))
    found = Problems()
    images = image_jobs(root, found, lists / "DET_train_30classes.txt")
    assert (len(images), found.notes) == (53237, {"image listed before": 402})
    folders = {job.key.split("/")[1] for job in images}
    assert folders == {"ILSVRC2013_train", *(f"ILSVRC2014_train_000{n}" for n in range(7))}
