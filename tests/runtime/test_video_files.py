"""Names, tags and orientation of video files."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from runtime_helpers import flat_frames, write_lossless, write_video

from faim.runtime.sources import open_source
from faim.runtime.video import as_displayed

CORNERS = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
#: Degrees counter-clockwise, mirrored left to right afterwards, and what is then seen.
ORIENTATIONS = {
    (0, False): [[1, 2, 3], [4, 5, 6]],
    (90, False): [[3, 6], [2, 5], [1, 4]],
    (180, False): [[6, 5, 4], [3, 2, 1]],
    (270, False): [[4, 1], [5, 2], [6, 3]],
    (0, True): [[3, 2, 1], [6, 5, 4]],
    (90, True): [[6, 3], [5, 2], [4, 1]],
    (180, True): [[4, 5, 6], [1, 2, 3]],
    (270, True): [[1, 4], [2, 5], [3, 6]],
}


@pytest.mark.parametrize(("degrees", "mirrored"), ORIENTATIONS)
def test_all_eight_orientations(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    """By hand; they are the pictures of `ffmpeg -i a.mp4 a.png`."""
    stored = np.kron(CORNERS * 40, np.ones((16, 16), np.uint8))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *stored.shape, "yuv420p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        grey = av.VideoFrame.from_ndarray(np.stack([stored] * 3, axis=-1), format="bgr24")
        container.mux(stream.encode(grey))
        container.mux(stream.encode(None))
    [frame] = open_source(tmp_path / "a.mp4")
    seen = np.round(frame.image[8::16, 8::16, 0] / 40).astype(int)
    assert seen.tolist() == ORIENTATIONS[degrees, mirrored]


def test_orientation_of_odd_matrices() -> None:
    image = np.dstack([CORNERS] * 3)
    for numbers in ([0] * 9, [65536, 3000, 0, -3000, 65536, 0, 0, 0, 1 << 30]):
        np.testing.assert_array_equal(as_displayed(image, np.array(numbers, np.int32)), image)


@pytest.mark.parametrize(
    "name",
    [
        "2024-01-01T12:00:00.mkv",
        "http:a.mkv",
        "concat:a|b.mkv",
        "-y.mkv",
        "a%d.mkv",
        "100%03d[1]*.mkv",
        "file:a.mkv",
        "sp ace\n.mkv",
        os.fsdecode(b"caf\xe9.mkv"),
    ],
)
def test_a_local_name_is_that_of_a_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lossless(tmp_path / "plain.mkv", flat_frames(10, 20, 30))
    (tmp_path / "plain.mkv").rename(name)
    for given in (name, tmp_path / name):
        assert [int(frame.image[0, 0, 0]) for frame in open_source(given)] == [10, 20, 30]


def test_a_number_pattern_is_no_sequence_of_pictures(tmp_path: Path) -> None:
    for name, level in (("a%d.ppm", 5), ("a1.ppm", 50), ("a2.ppm", 60)):
        head = b"P6 16 16 255\n"
        (tmp_path / name).write_bytes(head + bytes([level]) * (16 * 16 * 3))
    assert [int(frame.image[0, 0, 0]) for frame in open_source(tmp_path / "a%d.ppm")] == [5]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_tags_in_another_encoding(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = container.metadata["service_name"] = "Caf@@ noir"
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for image in flat_frames(*range(10, 130, 10), size=(48, 64)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"Caf@@" in content
    path.write_bytes(content.replace(b"Caf@@", b"Caf\xe9\xff"))
    if suffix != "ts":  # whose tables carry a checksum
        with pytest.raises(UnicodeDecodeError):
            av.open(str(path))
    assert len(list(open_source(path))) == 12


def test_pixels_that_are_not_square_stay_source_pixels(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", flat_frames(10, 20, size=(48, 64)))
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        for frame in source.decode(video=0):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert [frame.image.shape for frame in open_source(tmp_path / "b.mp4")] == [(48, 64, 3)] * 2
