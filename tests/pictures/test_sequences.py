"""Several pictures in a file, more than 8 bits in a folder, and pictures that are lost."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv
from picture_cases import encoded, of_16_bits, scene
from PIL import Image

from faim.errors import FaimError
from faim.pictures.reading import is_sequence, read_image, read_sequence
from faim.runtime.results import FrameResult
from faim.runtime.sinks import JsonLinesSink
from faim.runtime.sources import open_source

LEVELS = (40, 90, 140, 190)


def animation(kind: str, durations: list[int] | None) -> bytes:
    """Four plain pictures of the grey levels."""
    pictures = [Image.new("RGB", (64, 48), (level,) * 3) for level in LEVELS]
    written = io.BytesIO()
    timing = {} if durations is None else {"duration": durations}
    lossless = {"lossless": True} if kind == "WEBP" else {}
    pictures[0].save(written, kind, save_all=True, append_images=pictures[1:], **timing, **lossless)
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.webp", "WEBP"), ("a.gif", "GIF"), ("a.png", "PNG"), ("a.apng", "PNG"), ("a.avif", "AVIF")],
)
def test_an_animation_plays_in_its_own_time(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(animation(kind, [40, 200, 80, 120]))
    frames = list(open_source(tmp_path / name))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.24, 0.32])
    assert [int(frame.image[20, 30, 1]) for frame in frames] == pytest.approx(LEVELS, abs=2)
    assert frames[0].file is None


def test_a_picture_without_a_duration_is_shown_as_browsers_do(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(animation("GIF", [0, 0, 0, 0]))
    times = [frame.time for frame in open_source(tmp_path / "a.gif")]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3])


def test_pages_come_at_a_steady_rate_and_copies_of_them_do_not(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(animation("TIFF", None))
    frames = list(open_source(tmp_path / "a.tif", fps=10))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [int(frame.image[0, 0, 0]) for frame in frames] == list(LEVELS)
    small = Image.new("L", (8, 6))
    small.encoderinfo = {"tiffinfo": {254: 1}}  # a smaller copy
    first = Image.new("L", (64, 48), 77)
    first.save(tmp_path / "b.tif", save_all=True, append_images=[small])
    assert not is_sequence(tmp_path / "b.tif")
    assert len(list(open_source(tmp_path / "b.tif"))) == 1


def test_pages_of_16_bits(tmp_path: Path) -> None:
    pages = [np.full((4, 6, 3), level * 257, np.uint16) for level in LEVELS]
    (tmp_path / "a.tif").write_bytes(cv2.imencodemulti(".tif", pages)[1].tobytes())
    assert [int(image.mean()) for image, _ in read_sequence(tmp_path / "a.tif")] == list(LEVELS)


def test_of_several_pictures_a_folder_takes_the_first_and_says_so_once(
    tmp_path: Path, warned: list[str]
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.webp").write_bytes(animation("WEBP", [40] * 4))
    frames = list(open_source(tmp_path))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [40, 40, 40]
    assert [said for said in warned if "several" in said] == [
        f"{tmp_path}/0.webp: holds several pages or pictures, of which the first is taken; others "
        "in this folder are not told of"
    ]


def test_a_photograph_with_a_second_picture_is_one(tmp_path: Path, warned: list[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(animation("MPO", None))
    frames = list(open_source(tmp_path / "a.jpg"))
    assert len(frames) == 1
    assert frames[0].image.mean() == pytest.approx(LEVELS[0], abs=2)
    assert "the first is taken" in warned[0]


def test_an_animation_that_breaks_off_gives_what_it_holds(
    tmp_path: Path, warned: list[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    first, *others = map(Image.fromarray, noise)
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=50)
    content = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content[: len(content) * 7 // 8])
    frames = list(open_source(tmp_path / "a.gif"))
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert "it breaks off after 3 pictures" in warned[-1]


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("colours", [False, True])
def test_sensors_of_more_than_8_bits(tmp_path: Path, bits: int, colours: bool) -> None:
    """The dark picture of a folder is as dark as the bright one makes it."""
    levels = np.linspace(0, 255, 64, dtype=np.uint16)
    image = np.tile(levels, (48, 1))
    image = np.stack([image, image // 2, image // 3], -1) if colours else image
    bright, dark = image << (bits - 8), image >> 3 << (bits - 8)
    for ending in (".png", ".tif"):
        for number, samples in enumerate((dark, bright, dark)):
            (tmp_path / f"{number}{ending}").write_bytes(of_16_bits(samples, ending))
        expected = image if colours else np.stack([image] * 3, -1)
        for number, stored in enumerate((expected >> 3, expected, expected >> 3)):
            np.testing.assert_array_equal(read_image(tmp_path / f"{number}{ending}"), stored)


def test_bits_that_a_file_or_a_person_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dark = np.full((4, 6), 255, np.uint16)
    Image.fromarray(dark).save(tmp_path / "a.tif", tiffinfo={281: 4095})  # MaxSampleValue
    assert (read_image(tmp_path / "a.tif") == 255 >> 4).all()
    (tmp_path / "a.png").write_bytes(of_16_bits(dark))
    assert (read_image(tmp_path / "a.png") == 255).all()
    monkeypatch.setenv("FAIM_SAMPLE_BITS", "14")
    assert (read_image(tmp_path / "a.png") == 255 >> 6).all()
    monkeypatch.setenv("FAIM_SAMPLE_BITS", "7")
    with pytest.raises(FaimError, match="FAIM_SAMPLE_BITS: '7' given; expected 8 to 16 bits"):
        read_image(tmp_path / "a.png")


def test_names_of_any_bytes_go_through_to_the_results(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for name in (b"0.png", b"1\xe9.png", "2猫.png".encode()):
        (folder / os.fsdecode(name)).write_bytes(encoded(scene(), "PNG"))
    frames = list(open_source(folder))
    assert [os.fsencode(frame.file or "") for frame in frames] == [
        b"0.png", b"1\xe9.png", "2猫.png".encode()
    ]  # fmt: skip
    empty = sv.Detections.empty()
    empty.confidence, empty.class_id = np.zeros(0), np.zeros(0, int)
    empty.data["class_name"] = np.zeros(0, str)
    sink = JsonLinesSink(tmp_path / "out.jsonl")
    for frame in frames:
        sink.write(FrameResult(frame, empty))
    sink.close()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [os.fsencode(line["file"]) for line in lines] == [
        b"0.png", b"1\xe9.png", "2猫.png".encode()
    ]  # fmt: skip
    assert list(lines[0]) == ["frame", "file", "time", "width", "height", "detections"]
    video = FrameResult(next(iter(open_source([scene()]))), empty).to_dict()
    assert list(video) == ["frame", "time", "width", "height", "detections"]


def test_files_of_several_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.png").write_bytes(encoded(scene(), "PNG"))
    files = [frame.file for frame in open_source(str(tmp_path / "*" / "*.png"))]
    assert files == ["a/0.png", "b/0.png"]
    assert [frame.file for frame in open_source(tmp_path / "a" / "0.png")] == ["0.png"]
