"""SynthVID: determinism, labels that fit the pixels, and the promised difficulty."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from faim.data.synth import CLASS_NAMES, generate
from faim.data.synth.degrade import (
    KINDS,
    STRENGTHS,
    disk_kernel,
    motion_kernel,
    plan_runs,
)
from faim.data.synth.motion import object_path
from faim.data.synth.shapes import SHAPES, draw_silhouette
from faim.data.synth.sprites import SUPERSAMPLE, Sprite, draw_object, paint, palettes
from faim.data.synth.textures import SWINGS, draw_texture
from faim.data.synth.writer import LEAST_AREA, LEAST_VISIBLE, Recipe
from faim.errors import FaimError

ARGUMENTS: dict[str, Any] = {
    "videos": 2,
    "frames": 10,
    "size": 128,
    "classes": 8,
    "severity": "hard",
    "seed": 3,
    "progress": False,
}


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve hard videos of 24 frames."""
    out = tmp_path_factory.mktemp("synth")
    return generate(out, **(ARGUMENTS | {"videos": 12, "frames": 24}))


def test_two_runs_give_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        generate(tmp_path / "a", **ARGUMENTS)
        cv2.setNumThreads(4)
        generate(tmp_path / "b", **ARGUMENTS)
    finally:
        cv2.setNumThreads(threads)
    first, second = _files(tmp_path / "a"), _files(tmp_path / "b")
    assert first == second
    assert len(first) == 2 * 10 + 1


def test_workers_do_not_change_the_files(tmp_path: Path) -> None:
    arguments = ARGUMENTS | {"frames": 2}
    generate(tmp_path / "a", **arguments)
    generate(tmp_path / "b", **arguments, workers=2)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_another_seed_gives_other_frames(tmp_path: Path) -> None:
    arguments = ARGUMENTS | {"videos": 1, "frames": 1}
    generate(tmp_path / "a", **arguments)
    generate(tmp_path / "b", **(arguments | {"seed": 4}))
    name = "frames/video_0000/000000.jpg"
    assert _files(tmp_path / "a")[name] != _files(tmp_path / "b")[name]


def test_more_videos_extend_a_data_set(tmp_path: Path) -> None:
    short = _load(generate(tmp_path / "short", **ARGUMENTS))
    long = _load(generate(tmp_path / "long", **(ARGUMENTS | {"videos": 3})))
    for key in ("videos", "images", "annotations"):
        assert long[key][: len(short[key])] == short[key]
        assert len(long[key]) > len(short[key])
    kept = _files(tmp_path / "long")
    frames = {k: v for k, v in _files(tmp_path / "short").items() if k.endswith(".jpg")}
    assert all(kept[name] == data for name, data in frames.items())


def test_json_describes_the_files(dataset: Path) -> None:
    data = _load(dataset)
    assert [c["name"] for c in data["categories"]] == list(CLASS_NAMES)
    assert len(data["videos"]) == 12
    assert [i["id"] for i in data["images"]] == list(range(1, 12 * 24 + 1))
    assert [i["frame_id"] for i in data["images"]] == list(range(24)) * 12
    assert {i["degradation"] for i in data["images"]} <= {"clear", *KINDS}
    for image in data["images"][::24]:
        assert cv2.imread(str(dataset.parent / image["file_name"])).shape == (128, 128, 3)
    assert data["info"]["seed"] == 3
    assert data["info"]["arguments"]["severity"] == "hard"


def test_masks_decode_to_their_box_and_area(dataset: Path) -> None:
    data = _load(dataset)
    shown: dict[int, np.ndarray] = {}
    for annotation in data["annotations"]:
        mask = coco_mask.decode(annotation["segmentation"]).astype(bool)
        assert isinstance(annotation["segmentation"]["counts"], str)
        y, x = np.nonzero(mask)
        tight = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert annotation["bbox"] == tight
        assert annotation["area"] == mask.sum() >= LEAST_AREA
        assert annotation["visibility"] >= LEAST_VISIBLE - 0.0005
        # Visible masks of one frame cannot overlap.
        taken = shown.setdefault(annotation["image_id"], np.zeros((128, 128), bool))
        assert not (taken & mask).any()
        taken |= mask


def test_an_instance_keeps_its_class_and_video(dataset: Path) -> None:
    seen: dict[int, tuple[int, int]] = {}
    for annotation in _load(dataset)["annotations"]:
        identity = (annotation["category_id"], annotation["video_id"])
        assert seen.setdefault(annotation["instance_id"], identity) == identity
    assert set(seen) == set(range(1, len(seen) + 1))
    assert 12 <= len(seen) <= 12 * 4


def test_mask_lies_on_the_object_of_a_clear_frame() -> None:
    # The frame drawn without the actors differs from the one with them exactly at the masks.
    scene, empty = (Recipe(1, 128, 8, "easy", seed).scene(0) for seed in (5, 5))
    empty.actors = []
    with_actors, without = next(scene.draw()), next(empty.draw())
    difference = np.abs(with_actors.image.astype(int) - without.image.astype(int)).max(axis=2)
    covered = np.logical_or.reduce(with_actors.masks)
    grown = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert not difference[~grown].any()
    assert (difference[covered] > 8).mean() > 0.95


def test_textures_differ_while_silhouettes_are_shared() -> None:
    palette = palettes(1, np.random.default_rng(0))[0]
    sprites = [
        draw_object(name, 80, 1.0, palette, np.random.default_rng(7)) for name in CLASS_NAMES
    ]
    for sprite in sprites[1:]:
        np.testing.assert_array_equal(sprite.alpha, sprites[0].alpha)
    inside = sprites[0].alpha > 250
    for i, first in enumerate(sprites):
        for second in sprites[:i]:
            gap = np.abs(first.colour.astype(int) - second.colour.astype(int)).max(axis=2)
            assert (gap[inside] > 40).mean() > 0.25


def _inside(sprite: Sprite) -> np.ndarray:
    """(side, side) bool: the object without its darker rim."""
    whole = (sprite.alpha > 250).astype(np.uint8)
    return cv2.erode(whole, np.ones((25, 25)), borderValue=0).astype(bool)


def _coloured(seed: int) -> tuple[np.ndarray, dict[str, Sprite]]:
    """One colour, and one silhouette in it with the texture of every class."""
    palette = palettes(1, np.random.default_rng(seed))[0]
    return palette, {
        name: draw_object(name, 96, 1.0, palette, np.random.default_rng(100 + seed))
        for name in CLASS_NAMES
    }


def test_the_mean_colour_is_the_objects_own_whatever_the_class() -> None:
    gaps = []
    for seed in range(8):
        palette, sprites = _coloured(seed)
        means = np.array([s.colour[_inside(s)].mean(axis=0) for s in sprites.values()])
        gaps.append(np.abs(means - palette))
        assert np.abs(means - means.mean(axis=0)).max() < 15
        assert palette.shape == (3,)
    # Some tones are cut off at 0 or 255, and no silhouette holds whole periods.
    assert np.max(gaps) < 20
    assert np.mean(gaps) < 5


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_a_texture_swings_in_the_direction_of_its_class(name: str) -> None:
    sprite = _coloured(0)[1][name]
    colours = sprite.colour[_inside(sprite)].astype(float)
    spread, directions = np.linalg.eigh(np.cov(colours.T))
    swing = SWINGS[name] / np.linalg.norm(SWINGS[name])
    assert abs(directions[:, 2] @ swing) > 0.95
    assert spread[2] > 40**2
    lines = [other / np.linalg.norm(other) for n, other in SWINGS.items() if n != name]
    assert max(abs(line @ swing) for line in lines) < 0.9


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_the_weakest_hard_blur_takes_most_of_the_texture(name: str) -> None:
    hard = STRENGTHS["hard"]
    kernels = (
        motion_kernel(0.4, hard.blur_length[0] * SUPERSAMPLE, hard.blur_softness * SUPERSAMPLE),
        disk_kernel(hard.defocus_radius[0] * SUPERSAMPLE),
    )
    for kernel in kernels:
        left = []
        for seed in range(4):
            sprite = _coloured(seed)[1][name]
            inside = _inside(sprite)
            blurred = cv2.filter2D(sprite.colour.astype(np.float32), -1, kernel)
            left.append(blurred[inside].std(axis=0).max() / sprite.colour[inside].std(axis=0).max())
        assert np.mean(left) < 0.35


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_both_tones_are_there(name: str) -> None:
    shares = [draw_texture(name, 120, 8.0, np.random.default_rng(i)).mean() for i in range(20)]
    assert 0.25 < np.mean(shares) < 0.75


def test_textures_stand_upright_within_30_degrees() -> None:
    angles = []
    for seed in range(30):
        stripes = draw_texture("stripes", 160, 16.0, np.random.default_rng(seed)).astype(np.float32)
        smooth = cv2.GaussianBlur(stripes, (0, 0), 2)
        dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        # The stripes' normal, by the structure tensor.
        angles.append(0.5 * np.degrees(np.arctan2(2 * (dx * dy).sum(), (dx**2 - dy**2).sum())))
    assert max(np.abs(angles)) < 31
    assert np.ptp(angles) > 30


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_texture_is_fine(name: str) -> None:
    # Averaged over three periods, a texture is nearly one tone: its detail is all below that.
    texture = draw_texture(name, 200, 8.0, np.random.default_rng(1)).astype(np.float32)
    blurred = cv2.blur(texture, (24, 24))[24:-24, 24:-24]
    assert texture.std() > 0.4
    assert blurred.std() < 0.12


@pytest.mark.parametrize("name", SHAPES)
def test_silhouette_fills_its_box(name: str) -> None:
    for seed in range(4):
        mask = draw_silhouette(name, 100, np.random.default_rng(seed)) > 127
        y, x = np.nonzero(mask)
        assert 75 <= max(np.ptp(x), np.ptp(y)) + 1 <= 89
        assert mask.mean() > 0.12


def test_most_silhouettes_are_not_convex() -> None:
    hollow = 0
    for name in SHAPES:
        mask = draw_silhouette(name, 100, np.random.default_rng(2))
        contours, _ = cv2.findContours(mask // 128, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        contour = max(contours, key=cv2.contourArea)
        hollow += cv2.contourArea(contour) < 0.9 * cv2.contourArea(cv2.convexHull(contour))
    assert hollow >= 5


@pytest.mark.parametrize(("severity", "low", "high"), [("hard", 0.53, 0.65), ("easy", 0.10, 0.20)])
def test_share_of_degraded_frames(severity: Any, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    plans = [plan_runs(24, STRENGTHS[severity].share, rng) for _ in range(300)]
    degraded = sum(run.stop - run.start for plan in plans for run in plan)
    assert low < degraded / (300 * 24) < high
    assert {run.kind for plan in plans for run in plan} == set(KINDS)


@pytest.mark.parametrize("frames", [1, 2, 4, 5, 7, 8, 16, 24, 60, 200])
def test_runs_are_short_apart_and_leave_clear_frames(frames: int) -> None:
    rng = np.random.default_rng(frames)
    for _ in range(100):
        runs = plan_runs(frames, 0.6, rng)
        assert all(3 <= run.stop - run.start <= 8 for run in runs)
        assert all(second.start > first.stop for first, second in pairwise(runs))
        assert all(run.start >= 0 and run.stop <= frames for run in runs)
        clear = frames - sum(run.stop - run.start for run in runs)
        assert clear >= min(frames, max(2, frames / 5))


def test_degradations_do_what_they_say(dataset: Path) -> None:
    data = _load(dataset)
    brightness: dict[str, list[float]] = {}
    detail: dict[str, list[float]] = {}
    for image in data["images"]:
        grey = cv2.imread(str(dataset.parent / image["file_name"]), cv2.IMREAD_GRAYSCALE)
        brightness.setdefault(image["degradation"], []).append(float(grey.mean()))
        edges = cv2.Laplacian(grey.astype(np.float32), cv2.CV_32F).std()
        detail.setdefault(image["degradation"], []).append(float(edges))
    assert np.mean(brightness["low_light"]) < 0.5 * np.mean(brightness["clear"])
    for kind in ("defocus", "motion_blur"):
        assert np.mean(detail[kind]) < 0.4 * np.mean(detail["clear"])
        assert np.mean(brightness[kind]) == pytest.approx(np.mean(brightness["clear"]), rel=0.2)


def test_occlusion_hides_most_of_an_object(dataset: Path) -> None:
    data = _load(dataset)
    kinds = {image["id"]: image["degradation"] for image in data["images"]}
    visible: dict[str, list[float]] = {}
    for annotation in data["annotations"]:
        visible.setdefault(kinds[annotation["image_id"]], []).append(annotation["visibility"])
    assert 0.2 <= np.median(visible["occlusion"]) <= 0.6
    assert np.median(visible["clear"]) == 1.0


def test_objects_move_smoothly(dataset: Path) -> None:
    data = _load(dataset)
    order = {i["id"]: i for i in data["images"]}
    tracks: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        tracks.setdefault(annotation["instance_id"], []).append(annotation)
    steps = []
    for track in tracks.values():
        for first, second in pairwise(track):
            frames = [order[a["image_id"]] for a in (first, second)]
            whole = min(first["visibility"], second["visibility"]) > 0.98
            calm = "pose" not in {frame["degradation"] for frame in frames}
            if frames[1]["frame_id"] == frames[0]["frame_id"] + 1 and whole and calm:
                corners = np.array([[a["bbox"][:2], a["bbox"][2:]] for a in (first, second)])
                centres = corners[:, 0] + corners[:, 1] / 2
                steps.append(float(np.linalg.norm(centres[1] - centres[0])) / 128)
    # 0.02 of drift and 0.0085 of sway, and the box's centre wanders as the object turns.
    assert len(steps) > 100
    assert max(steps) < 0.08
    assert 0.005 < np.median(steps) < 0.03


def test_paths_stay_near_the_frame_and_below_their_speed() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        path = object_path(rng.uniform(0.18, 0.82, 2), rng)
        places = np.array([path.at(t) for t in range(300)])
        assert places.min() > 0.0
        assert places.max() < 1.0
        assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.0286


def test_paint_places_a_square_at_its_pixels() -> None:
    sprite = Sprite(np.full((40, 40, 3), 200, np.uint8), np.full((40, 40), 255, np.uint8))
    frame = np.zeros((64, 64, 3), np.float32)
    mask, area = paint(frame, sprite, np.eye(2), np.array([31.5, 29.5]))
    expected = np.zeros((64, 64), bool)
    expected[20:40, 22:42] = True
    np.testing.assert_array_equal(mask, expected)
    assert area == 400
    np.testing.assert_allclose(frame[expected], 200, atol=0.5)
    assert not frame[~expected].any()


def test_paint_counts_the_area_off_the_frame() -> None:
    sprite = Sprite(np.full((40, 40, 3), 200, np.uint8), np.full((40, 40), 255, np.uint8))
    mask, area = paint(np.zeros((64, 64, 3), np.float32), sprite, np.eye(2), np.array([-0.5, 31.5]))
    assert (mask.sum(), area) == (200, 400)
    mask, area = paint(
        np.zeros((64, 64, 3), np.float32), sprite, np.eye(2), np.array([-90.5, 31.5])
    )
    assert (mask.sum(), area) == (0, 400)


def test_blur_kernels() -> None:
    kernel = motion_kernel(0.0, 30.0, 1.5)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    position = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    across, along = kernel.sum(axis=1), kernel.sum(axis=0)
    # Across it is a Gaussian of the softness; along, a box of length L has the variance L²/12
    # and the soft ends lengthen it by about one softness each.
    assert (across * position**2).sum() == pytest.approx(1.5**2, rel=0.03)
    assert 30**2 / 12 < (along * position**2).sum() < 34**2 / 12
    disk = disk_kernel(5.0)
    radius = np.hypot(*np.mgrid[-6:7, -6:7])
    # The mean squared distance from the centre of a disk is r²/2.
    assert (disk * radius**2).sum() == pytest.approx(12.5, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": 0}, "videos is 0, expected at least 1"),
        ({"frames": 0}, "frames is 0, expected at least 1"),
        ({"size": 63}, "size is 63, expected at least 64"),
        ({"classes": 0}, "classes is 0, expected 1 to 8"),
        ({"classes": 9}, "classes is 9, expected 1 to 8"),
        ({"seed": -1}, "seed is -1, expected at least 0"),
        ({"severity": "brutal"}, "severity is 'brutal', expected 'easy' or 'hard'"),
        ({"workers": 0}, "workers is 0, expected at least 1"),
    ],
)
def test_bad_arguments(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(FaimError, match=message):
        generate(tmp_path / "out", **(ARGUMENTS | change))
    assert not (tmp_path / "out").exists()


def test_out_that_is_a_file(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("mine")
    with pytest.raises(FaimError, match="is a file, expected a folder"):
        generate(target, **ARGUMENTS)
    assert target.read_text() == "mine"


def test_out_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FaimError, match="cannot write the data set to"):
        generate(tmp_path / "file" / "out", **ARGUMENTS)


def test_an_interrupted_run_leaves_no_json(tmp_path: Path, monkeypatch: Any) -> None:
    generate(tmp_path, **(ARGUMENTS | {"videos": 1, "frames": 1}))

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("faim.data.synth.writer.cv2.imencode", fail)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, **ARGUMENTS)
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


def test_smallest_and_shortest_arguments(tmp_path: Path) -> None:
    arguments = {"videos": 1, "frames": 1, "size": 64, "classes": 1, "severity": "easy", "seed": 0}
    data = _load(generate(tmp_path, progress=False, **arguments))
    assert [c["name"] for c in data["categories"]] == ["stripes"]
    assert {a["category_id"] for a in data["annotations"]} == {1}
    assert data["images"][0]["degradation"] == "clear"
