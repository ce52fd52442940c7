"""SynthVID's editions: the first stays what it was, the second has what it promises."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faim.cli import main
from faim.data.synth import generate
from faim.data.synth.cast import DistinctCast, MixedCast
from faim.data.synth.writer import Recipe
from faim.errors import FaimError
from faim.families.yolox.levels import SIZES

ARGUMENTS: dict[str, Any] = {
    **{"videos": 4, "frames": 6, "size": 96, "classes": 8, "severity": "hard", "seed": 12},
    "progress": False,
}
#: What of an annotation depends on how a library draws, by a pixel of an edge.
PIXELS = ("bbox", "area", "visibility", "segmentation")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Forty videos of two frames of the second edition."""
    changes = {"videos": 40, "frames": 2, "size": 128, "severity": "easy", "edition": 2}
    return load(generate(tmp_path_factory.mktemp("second"), **(ARGUMENTS | changes)))


def test_the_first_edition_is_what_it_was(tmp_path: Path) -> None:
    """The digest and the boxes are those of the version before there was a second."""
    data = load(generate(tmp_path, **ARGUMENTS))
    first = {image["id"] for image in data["images"] if image["frame_id"] == 0}
    boxes = [each["bbox"] for each in data["annotations"] if each["image_id"] in first]
    assert len(data["annotations"]) == 48
    np.testing.assert_allclose(
        boxes,
        [
            *([52, 49, 38, 28], [16, 3, 28, 30], [49, 60, 31, 32], [45, 57, 22, 21]),
            *([27, 10, 27, 24], [7, 39, 26, 26], [69, 41, 19, 7], [19, 11, 12, 20]),
        ],
        atol=1,
    )
    for annotation in data["annotations"]:
        for name in PIXELS:
            del annotation[name]
    assert data["info"].pop("exhaustive") is True
    text = json.dumps(data, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "92ea914c681acb0bf8132b632cb1e3f81e26ebbf2b8e755239c005a599991862"
    )


def test_the_second_edition_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    arguments = ARGUMENTS | {"videos": 2, "frames": 5, "edition": 2}
    generate(tmp_path / "a", **arguments)
    generate(tmp_path / "b", **arguments, workers=2)
    generate(tmp_path / "c", **(arguments | {"seed": 13}))
    first = files(tmp_path / "a")
    assert first == files(tmp_path / "b")
    assert len(first) == 2 * 5 + 1
    assert not set(first.values()) & set(files(tmp_path / "c").values())


def test_its_file_says_how_to_make_it_again(tmp_path: Path) -> None:
    data = load(generate(tmp_path / "a", **(ARGUMENTS | {"videos": 2, "frames": 2, "edition": 2})))
    assert data["info"]["version"] == "2.0"
    assert data["info"]["arguments"]["edition"] == 2
    generate(tmp_path / "b", **data["info"]["arguments"], progress=False)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    first = load(generate(tmp_path / "c", **(ARGUMENTS | {"videos": 1, "frames": 1})))
    assert first["info"]["version"] == "1.0"
    assert "edition" not in first["info"]["arguments"]


def shared_share(casts: list[list[int]]) -> float:
    """Of those of two objects and more, the share in which two are of a class."""
    several = [cast for cast in casts if len(cast) > 1]
    return sum(len(set(cast)) < len(cast) for cast in several) / len(several)


@pytest.mark.parametrize(
    ("classes", "share"),
    [
        # Where classes are to be shared, fewer are chosen than there are objects: always some are.
        (8, 0.75),
        # Of two classes, three objects and more (0.6 of 0.9) share one whatever is drawn.
        (2, (0.3 * 0.75 + 0.6) / 0.9),
    ],
)
def test_how_often_two_objects_are_of_one_class(classes: int, share: float) -> None:
    rng, cast = np.random.default_rng(0), MixedCast()
    casts = [cast.categories(classes, "hard", rng) for _ in range(4000)]
    # Three standard deviations of 3600 draws.
    assert shared_share(casts) == pytest.approx(share, abs=3 * (share * (1 - share) / 3600) ** 0.5)
    counts = Counter(map(len, casts))
    expected = {1: 400, 2: 1200, 3: 1200, 4: 800, 5: 400}
    assert counts == {n: pytest.approx(c, abs=3 * c**0.5) for n, c in expected.items()}
    assert {category for cast in casts for category in cast} == set(range(classes))


def test_the_first_edition_has_no_class_twice() -> None:
    rng, cast = np.random.default_rng(0), DistinctCast()
    assert shared_share([cast.categories(8, "hard", rng) for _ in range(500)]) == 0


def test_videos_have_several_of_a_class(second: dict[str, Any]) -> None:
    """Some of an object's frames hide it: a little less than 0.75, of about 36 videos."""
    classes: dict[int, dict[int, int]] = {}
    for each in second["annotations"]:
        video = classes.setdefault(each["video_id"], {})
        assert video.setdefault(each["instance_id"], each["category_id"]) == each["category_id"]
    casts = [list(video.values()) for video in classes.values()]
    assert 30 <= sum(len(cast) > 1 for cast in casts) <= 40
    assert 0.75 - 0.22 < shared_share(casts) < 0.75 + 0.22


def test_an_instance_is_one_object_of_one_video(second: dict[str, Any]) -> None:
    videos: dict[int, set[int]] = {}
    for each in second["annotations"]:
        videos.setdefault(each["instance_id"], set()).add(each["video_id"])
    assert sorted(videos) == list(range(1, len(videos) + 1))
    assert all(len(found) == 1 for found in videos.values())
    pairs = [(each["image_id"], each["instance_id"]) for each in second["annotations"]]
    assert len(set(pairs)) == len(pairs)
    # It stays with its object, which moves little from one frame to the next.
    centres: dict[int, list[np.ndarray]] = {}
    for each in second["annotations"]:
        x, y, width, height = each["bbox"]
        if each["visibility"] > 0.98:
            centre = np.array([x + width / 2, y + height / 2])
            centres.setdefault(each["instance_id"], []).append(centre)
    moves = [np.linalg.norm(two[1] - two[0]) for two in centres.values() if len(two) == 2]
    assert len(moves) > 60
    assert max(moves) < 0.08 * 128


@pytest.mark.parametrize(("count", "largest"), [(1, 0.75), (2, 1.7 / 2.8), (5, 1.7 / 5.8)])
def test_extents_are_uniform_in_the_logarithm(count: int, largest: float) -> None:
    rng, cast = np.random.default_rng(count), MixedCast()
    parts = [cast.part(3, count, rng) for _ in range(2000)]
    extents = np.array([part.extent for part in parts])
    assert 0.12 < extents.min() < 0.122
    assert 0.98 * largest < extents.max() < largest
    assert np.median(extents) == pytest.approx((0.12 * largest) ** 0.5, rel=0.05)
    assert {part.category for part in parts} == {3}
    smallest, widest = parts[extents.argmin()], parts[extents.argmax()]
    assert smallest.grain == pytest.approx(0.55, abs=0.01)
    assert widest.grain == pytest.approx(min((largest / 0.33) ** 0.6, 1.5), abs=0.02)


def test_drawn_objects_have_the_extents_of_the_cast() -> None:
    recipe = Recipe(1, 128, 8, "easy", 12, 2)
    actors = [actor for index in range(12) for actor in recipe.scene(index).actors]
    extents = np.array([actor.sprite.extent for actor in actors]) / 128
    assert len(extents) > 24
    # A sprite's side is rounded up to a pixel of the frame.
    assert 0.12 < extents.min() < 0.2
    assert 0.4 < extents.max() < 0.75 + 1 / 128


def test_there_are_sizes_for_all_levels_at_256_pixels(second: dict[str, Any]) -> None:
    boxes = np.array([each["bbox"][2:] for each in second["annotations"]])
    sides = np.sqrt(boxes.prod(axis=1)) * 256 / 128
    shares = [np.mean((sides >= low) & (sides < high)) for low, high in SIZES]
    assert min(shares) > 0.03
    assert shares[0] > 0.4
    assert shares[1] > 0.8


@pytest.mark.parametrize("edition", ["3", "0", "two"])
def test_an_edition_that_is_not_there(
    edition: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["synth", "--out", str(out), "--edition", edition])
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("faim synth: error: argument --edition: invalid ")
    assert edition in told
    wrong: Any = 3
    with pytest.raises(FaimError, match=r"^edition is 3, expected 1 or 2$"):
        generate(out, **ARGUMENTS, edition=wrong)
    assert not out.exists()
