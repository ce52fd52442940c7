from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from loguru import logger
from runtime_helpers import flat_frames, write_video

from faim.errors import FaimError
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.sources import open_source


@pytest.fixture
def warnings() -> list[str]:
    messages: list[str] = []
    handler = logger.add(
        lambda message: messages.append(message.record["message"]), level="WARNING"
    )
    yield messages
    logger.remove(handler)


def noise_frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def write_images(folder: Path, frames: list[np.ndarray], names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, frame in zip(names, frames, strict=True):
        assert cv2.imwrite(str(folder / name), frame)


def test_same_pixels_from_folder_glob_and_arrays(tmp_path: Path) -> None:
    frames = noise_frames(12)
    write_images(tmp_path / "clip", frames, [f"frame{i}.png" for i in range(12)])
    (tmp_path / "clip" / ".frame0.png").write_bytes(b"hidden")
    (tmp_path / "clip" / "notes.txt").write_text("no image")
    for source in (tmp_path / "clip", str(tmp_path / "clip" / "*.png"), frames, np.stack(frames)):
        with open_source(source) as opened:
            read = list(opened)
            assert opened.frame_count == 12
            assert not opened.live
        # frame10 comes after frame9, not after frame1.
        assert [frame.index for frame in read] == list(range(12))
        assert read[11].time == pytest.approx(11 / 25)
        for frame, expected in zip(read, frames, strict=True):
            np.testing.assert_array_equal(frame.image, expected)


def test_a_source_can_be_read_twice(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "a.mp4", flat_frames(10, 20, 30)))
    first, second = list(source), list(source)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_folder_keeps_each_frames_own_size_and_converts_grey_and_alpha(tmp_path: Path) -> None:
    grey, alpha = np.full((5, 7), 9, np.uint8), np.full((3, 2, 4), 8, np.uint8)
    write_images(tmp_path / "mix", [grey, alpha], ["0.png", "1.png"])
    first, second = open_source(tmp_path / "mix")
    assert first.image.shape == (5, 7, 3)
    assert second.image.shape == (3, 2, 3)
    assert (first.image == 9).all()
    assert (second.image == 8).all()


@pytest.mark.parametrize("ahead", [False, True])
def test_damaged_image_costs_its_frame_alone(
    tmp_path: Path, warnings: list[str], ahead: bool
) -> None:
    write_images(tmp_path / "clip", flat_frames(1, 2, 3), ["0.png", "1.png", "2.png"])
    (tmp_path / "clip" / "1.png").write_bytes(b"not a png")
    source = open_source(tmp_path / "clip")
    source = DecodeAhead(source) if ahead else source
    read = list(source)
    assert [frame.index for frame in read] == [0, 2]
    assert [frame.file for frame in read] == ["0.png", "2.png"]
    assert [frame.time for frame in read] == [0.0, pytest.approx(2 / 25)]
    assert source.unread == 1
    assert "1.png: cannot be decoded; expected an image; its frame 1 is left out" in warnings[0]
    assert "1 of 3 images" in warnings[1]


def test_folder_of_damaged_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no")
    with pytest.raises(FaimError, match="none of its 1 images can be read"):
        list(open_source(tmp_path))


def test_arrays_are_converted_and_checked() -> None:
    grey, bgra = np.full((4, 6), 7, np.uint8), np.full((4, 6, 4), 7, np.uint8)
    for frame in open_source([grey, bgra]):
        np.testing.assert_array_equal(frame.image, np.full((4, 6, 3), 7, np.uint8))
    good = np.zeros((4, 6, 3), np.uint8)
    for bad, words in [
        (good.astype(np.float32), "float32"),
        (np.zeros((4, 6, 2), np.uint8), r"\(4, 6, 2\)"),
        (np.zeros((0, 6, 3), np.uint8), r"\(0, 6, 3\)"),
        ("text", "str"),
    ]:
        with pytest.raises(FaimError, match=f"frame 1: got.*{words}"):
            open_source([good, bad])


def test_video_frames_times_and_colours(tmp_path: Path) -> None:
    blue = np.zeros((48, 64, 3), np.uint8)
    blue[..., 0] = 200
    path = write_video(tmp_path / "a.mp4", [blue, *flat_frames(50, 100, size=(48, 64))])
    with open_source(str(path)) as source:
        assert (source.fps, source.frame_count) == (25.0, 3)
        read = list(source)
    assert [frame.time for frame in read] == [0.0, pytest.approx(0.04), pytest.approx(0.08)]
    for frame, expected in zip(read, [(200, 0, 0), (50, 50, 50), (100, 100, 100)], strict=True):
        assert np.abs(frame.image.mean(axis=(0, 1)) - expected).max() < 7


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", flat_frames(1, 2, 3, 4), ticks=[0, 10, 15, 95])
    assert [frame.time for frame in open_source(path)] == pytest.approx([0.0, 0.1, 0.15, 0.95])


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_metadata_is_honoured_as_opencv_does(tmp_path: Path, rotation: int) -> None:
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:24, :32] = 255
    path = write_video(tmp_path / "a.mp4", [corner] * 2, rotation=rotation)
    capture = cv2.VideoCapture(str(path))
    read, expected = capture.read()
    assert read
    image = next(iter(open_source(path))).image
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 2


def test_mp4_without_its_index_is_one_sentence(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", noise_frames(10))
    path.write_bytes(path.read_bytes()[:-3000])  # the moov atom lies at the end
    with pytest.raises(FaimError, match=r"a\.mp4: cannot be opened as a video .*expected"):
        open_source(path)


def test_mp4_cut_short_gives_what_it_holds(tmp_path: Path, warnings: list[str]) -> None:
    path = write_video(tmp_path / "a.mp4", noise_frames(40), options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read = list(open_source(path))
    assert 10 <= len(read) < 30
    assert [frame.index for frame in read] == list(range(len(read)))
    assert any(f"{len(read)} of 40 frames" in message for message in warnings)


def test_damaged_packet_costs_no_more_than_its_group(tmp_path: Path, warnings: list[str]) -> None:
    path = write_video(tmp_path / "a.mp4", noise_frames(20))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    read = list(open_source(path))
    assert 14 <= len(read) <= 20
    assert read[-1].time == pytest.approx(19 / 25)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"these are words\n" * 50, "cannot be opened as a video"),
        ("tiny.mp4", b"\x00", "cannot be opened as a video"),
    ],
)
def test_files_that_are_no_video(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FaimError, match=f"{name}: {words}"):
        open_source(tmp_path / name)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FaimError, match=r"gone\.mp4: no such file or folder"):
        open_source(tmp_path / "gone.mp4")
    with pytest.raises(
        FaimError, match=r"no images in this folder; expected files ending in \.apng"
    ):
        open_source(tmp_path)
    with pytest.raises(FaimError, match=r"\*\.png: matches 0 files"):
        open_source(str(tmp_path / "*.png"))
    with pytest.raises(FaimError, match="source: got dict"):
        open_source({})  # type: ignore[arg-type]


@pytest.mark.parametrize("camera", [97, "97"])
def test_camera_that_does_not_exist(camera: int | str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FaimError, match="camera 97: cannot be opened"):
        open_source(camera)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("camera", [-1, 2**31, "99999999999999999999"])
def test_camera_number_that_cannot_be(camera: int | str) -> None:
    with pytest.raises(FaimError, match=f"camera {camera}: there is no such number; expected 0"):
        open_source(camera)


def test_stream_that_nobody_serves() -> None:
    with pytest.raises(FaimError, match=r"127\.0\.0\.1:9/x: cannot be opened .*a stream that"):
        open_source("http://127.0.0.1:9/x")


def test_frame_without_pixels_keeps_its_shape() -> None:
    frame = next(iter(open_source(flat_frames(200, size=(30, 40))))).without_pixels()
    assert frame.image.shape == (30, 40, 3)
    assert frame.image.strides == (0, 0, 0)
    assert frame.image.max() == 0


def test_a_name_too_long_for_a_file() -> None:
    with pytest.raises(FaimError, match="no such file or folder") as caught:
        open_source("a" * 5000)
    assert len(str(caught.value)) < 400
