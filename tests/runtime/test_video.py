"""Videos against the pictures they were made of, and against damage."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from hypothesis import given, settings
from hypothesis import strategies as st
from live_helpers import recorded_warnings
from runtime_helpers import flat_frames, write_video

from faim.errors import FaimError
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.sources import open_source


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    with recorded_warnings() as messages:
        yield messages


def noise_frames(count: int, height: int, width: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


NOISE = noise_frames(20, 48, 64)


def write_lossless(path: Path, frames: list[np.ndarray], codec: str) -> Path:
    pixels, options = {
        "ffv1": ("bgr0", {}),
        "libx264rgb": ("rgb24", {"crf": "0", "preset": "ultrafast"}),
    }[codec]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("size", [(48, 64), (45, 67)])
def test_the_same_pictures_whatever_they_come_in(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = noise_frames(12, *size)
    (tmp_path / "clip").mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "clip" / f"{index}.png"), frame)
    sources = [
        frames,
        tmp_path / "clip",
        str(tmp_path / "clip" / "*.png"),
        write_lossless(tmp_path / "a.mkv", frames, "ffv1"),
        write_lossless(tmp_path / "b.mkv", frames, "libx264rgb"),
    ]
    for source in sources:
        for opened in (open_source(source), DecodeAhead(open_source(source))):
            assert opened.frame_count == 12
            for frame, expected in zip(opened, frames, strict=True):
                assert frame.time == pytest.approx(frame.index / 25, abs=1e-6)
                np.testing.assert_array_equal(frame.image, expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 7681), (7681, 3)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = noise_frames(3, *size)
    cv2.imwrite(str(tmp_path / "a.png"), frames[0])
    [image] = open_source(tmp_path / "a.png")
    np.testing.assert_array_equal(image.image, frames[0])
    video = open_source(write_lossless(tmp_path / "a.mkv", frames, "ffv1"))
    for frame, expected in zip(video, frames, strict=True):
        np.testing.assert_array_equal(frame.image, expected)


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(8, 60).map(lambda half: 2 * half),
    width=st.integers(8, 60).map(lambda half: 2 * half),
)
def test_the_quick_conversion_has_the_bits_of_the_plain_one(height: int, width: int) -> None:
    """One scaler for all frames against a new one each, over a change of size."""
    kept = VideoReformatter()
    for shape in ((height, width), (width, height)):
        luma_and_chroma = np.random.default_rng(0).integers(
            0, 256, (shape[0] * 3 // 2, shape[1]), dtype=np.uint8
        )
        picture = av.VideoFrame.from_ndarray(luma_and_chroma, format="yuv420p")
        quick = kept.reformat(picture, format="bgr24", threads=1).to_ndarray()
        np.testing.assert_array_equal(quick, picture.to_ndarray(format="bgr24"))


def test_a_change_of_size_within_a_video(tmp_path: Path) -> None:
    small, large = flat_frames(40, 80, size=(48, 64)), flat_frames(120, 160, size=(96, 112))
    with (tmp_path / "a.ts").open("wb") as joined:
        for name, frames in (("small.ts", small), ("large.ts", large)):
            joined.write(write_video(tmp_path / name, frames).read_bytes())
    read = [frame.image for frame in open_source(tmp_path / "a.ts")]
    assert [image.shape for image in read] == [frame.shape for frame in (*small, *large)]
    for image, frame in zip(read, (*small, *large), strict=True):
        assert np.abs(image.astype(int) - frame).max() < 7


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_bytes_damaged_in_the_middle_of_h264(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", noise_frames(40, 96, 128))
    clean = [frame.image for frame in open_source(path)]
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = np.random.default_rng(1).bytes(4000)
    path.write_bytes(content)
    read = list(open_source(path))
    assert 34 <= len(read) <= 40
    assert [frame.index for frame in read] == list(range(len(read)))
    assert (np.diff([frame.time for frame in read]) >= 0).all()
    # What lies before the damage, and from the next key frame on, is as it was.
    for place in (*range(15), *range(-10, 0)):
        np.testing.assert_array_equal(read[place].image, clean[place])


def test_a_packet_that_cannot_be_decoded_is_counted(tmp_path: Path, warnings: list[str]) -> None:
    frames = noise_frames(5, 48, 64)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for index, image in enumerate(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                if index == 2:
                    damaged = av.Packet(bytes(200))
                    damaged.stream, damaged.time_base = stream, packet.time_base
                    damaged.pts, damaged.dts = packet.pts, packet.dts
                    packet = damaged
                container.mux(packet)
    read = list(open_source(tmp_path / "a.mkv"))
    assert [frame.index for frame in read] == [0, 1, 2, 3]
    assert [frame.time for frame in read] == pytest.approx([0.0, 0.04, 0.12, 0.16])
    assert warnings == [f"{tmp_path / 'a.mkv'}: 1 damaged packet was left out"]


def patched_mp4(path: Path, atom: bytes, offset: int, value: int) -> Path:
    """Twenty frames in an MP4 one of whose numbers, `offset` bytes after a name, is changed."""
    content = bytearray(write_video(path, NOISE).read_bytes())
    assert content.count(atom) == 1
    place = content.index(atom) + offset
    content[place : place + 4] = struct.pack(">I", value)
    path.write_bytes(content)
    return path


def test_header_that_promises_more_frames(tmp_path: Path, warnings: list[str]) -> None:
    # stts: after version and number of entries comes the number of frames of the first.
    source = open_source(patched_mp4(tmp_path / "a.mp4", b"stts", 12, 400))
    assert source.frame_count == 400
    assert [frame.index for frame in source] == list(range(20))
    assert warnings[-1].endswith("20 of 400 frames could be decoded; it is damaged or cut short")


def test_header_that_promises_fewer_frames(tmp_path: Path, warnings: list[str]) -> None:
    source = open_source(patched_mp4(tmp_path / "a.mp4", b"stts", 12, 7))
    assert source.frame_count == 7
    read = list(source)
    assert [frame.index for frame in read] == list(range(20))
    assert (np.diff([frame.time for frame in read]) >= 0).all()
    assert warnings == []


def test_index_that_points_beyond_the_file(tmp_path: Path, warnings: list[str]) -> None:
    # stsz: the size of frame 10 among those that follow version, common size and number.
    source = open_source(patched_mp4(tmp_path / "a.mp4", b"stsz", 16 + 4 * 10, 90_000_000))
    whole = [frame.image for frame in open_source(write_video(tmp_path / "b.mp4", NOISE))]
    read = list(source)
    assert 7 <= len(read) <= 10
    for frame, image in zip(read[:7], whole, strict=False):
        np.testing.assert_array_equal(frame.image, image)
    assert any(f"{len(read)} of 20 frames" in message for message in warnings)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_file_cut_short_gives_what_it_holds(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", noise_frames(40, 48, 64))
    whole = [frame.image for frame in open_source(path)]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read = list(open_source(path))
    assert 14 <= len(read) <= 22
    for frame, image in zip(read[:-1], whole, strict=False):
        np.testing.assert_array_equal(frame.image, image)


def test_a_folder_of_every_kind_of_png(tmp_path: Path) -> None:
    from PIL import Image

    ramp = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    colours = np.stack([ramp, ramp + 1, ramp + 2], axis=-1)
    wide = colours.astype(np.uint16) * 257
    alpha = np.full((4, 6, 1), 7, np.uint8)
    Image.fromarray(ramp).save(tmp_path / "0_grey.png")
    Image.fromarray(np.concatenate([ramp[..., None], alpha], -1)).save(tmp_path / "1_grey_a.png")
    cv2.imwrite(str(tmp_path / "2_grey_16.png"), ramp.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "3_alpha.png"), np.concatenate([colours, alpha], -1))
    cv2.imwrite(str(tmp_path / "4_colour_16.png"), wide)
    cv2.imwrite(
        str(tmp_path / "5_alpha_16.png"), np.concatenate([wide, alpha.astype(np.uint16)], -1)
    )
    Image.fromarray(colours[..., ::-1]).quantize(256).save(tmp_path / "6_palette.png")
    grey = np.stack([ramp] * 3, axis=-1)
    expected = [grey, grey, grey, colours, colours, colours, colours]
    for frame, image in zip(open_source(tmp_path), expected, strict=True):
        assert frame.image.dtype == np.uint8
        np.testing.assert_array_equal(frame.image, image)


def test_video_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(FaimError, match=r"a\.mp4: has no video stream; expected a video"):
        open_source(tmp_path / "a.mp4")


def test_video_of_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_lossless(tmp_path / "a.mkv", noise_frames(3, 48, 64), "ffv1")
    monkeypatch.setenv("FAIM_MAX_IMAGE_PIXELS", "3071")
    with pytest.raises(FaimError, match=r"a\.mkv: is 64x48 pixels; expected at most 3071 in all"):
        open_source(video)
    monkeypatch.setenv("FAIM_MAX_IMAGE_PIXELS", "3072")
    assert len(list(open_source(video))) == 3
