"""The one gateway of image files: what is seen, in which size, and what is refused."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_cases import UPRIGHT, encoded, of_16_bits, scene, turned
from PIL import Image

from faim.errors import FaimError
from faim.pictures.reading import image_size, read_image

KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")


def put(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_kind(tmp_path: Path, kind: str, orientation: int) -> None:
    stored = scene()
    path = put(tmp_path, "a.img", turned(stored, kind, orientation))
    expected = UPRIGHT[orientation](stored)
    image = read_image(path)
    assert image_size(path) == (image.shape[1], image.shape[0]) == expected.shape[1::-1]
    inside = image.astype(int)[4:-4:5, 4:-4:5] - expected[4:-4:5, 4:-4:5]
    assert np.median(np.abs(inside)) <= 3  # edges are blurred


@pytest.mark.parametrize("orientation", range(1, 9))
def test_who_never_looked_at_exif_gets_what_is_stored(tmp_path: Path, orientation: int) -> None:
    stored = scene()
    path = put(tmp_path, "a.png", turned(stored, "PNG", orientation))
    read = read_image(path, annotated=(64, 48))
    # Annotated in that size, only quarter turns tell who did not look.
    expected = stored if orientation > 4 else UPRIGHT[orientation](stored)
    np.testing.assert_array_equal(read, expected)
    assert image_size(path, (64, 48)) == (64, 48)
    np.testing.assert_array_equal(read_image(path, (48, 64)), UPRIGHT[orientation](stored))


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    content = turned(scene(), "PNG", 6)
    start = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, rest = content[start : start + length], content[:start] + content[start + length :]
    path = put(tmp_path, "a.png", rest[:-12] + chunk + rest[-12:])
    assert image_size(path) == (48, 64)
    assert read_image(path).shape == (64, 48, 3)


def test_damaged_exif_leaves_a_sound_picture(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jpg", encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    assert image_size(path) == (64, 48)
    assert read_image(path).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", [*KINDS, "BMP", "GIF"])
def test_what_is_cut_off_is_no_picture_and_what_goes_on_is_one(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    content = encoded(noise, kind)
    sound = read_image(put(tmp_path, "a.img", content))
    for share in (0.4, 0.7, 0.95):
        path = put(tmp_path, "cut.img", content[: int(share * len(content))])
        with pytest.raises(FaimError, match=r"cut\.img: .*expected an?"):
            read_image(path)
    longer = put(tmp_path, "longer.img", content + b"what cameras add" * 40)
    np.testing.assert_array_equal(read_image(longer), sound)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_off_jpeg_is_named_as_such(tmp_path: Path, progressive: bool) -> None:
    content = encoded(scene(480, 640), "JPEG", progressive=progressive)
    path = put(tmp_path, "a.jpg", content[: len(content) // 3])
    with pytest.raises(FaimError, match=r"a\.jpg: is cut off; expected a whole image"):
        read_image(path)
    zeros = put(tmp_path, "b.jpg", content[: len(content) // 3] + bytes(len(content)))
    with pytest.raises(FaimError, match=r"b\.jpg: "):
        read_image(zeros)


def test_colours_of_every_mode(tmp_path: Path) -> None:
    image = scene()
    rgb = Image.fromarray(image[..., ::-1])
    alpha = Image.fromarray(np.full((48, 64), 90, np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    grey_alpha = Image.merge("LA", (Image.fromarray(grey), alpha))
    bits = grey > 100
    for name, shown, expected in (
        ("rgba.png", rgba, image),
        ("palette.png", rgb.quantize(8), image),
        ("palette.gif", rgb.quantize(8), image),
        ("grey.png", Image.fromarray(grey), np.stack([grey] * 3, -1)),
        ("grey_alpha.png", grey_alpha, np.stack([grey] * 3, -1)),
        ("one_bit.png", Image.fromarray(bits), np.stack([bits * np.uint8(255)] * 3, -1)),
        ("one_bit.tif", Image.fromarray(bits), np.stack([bits * np.uint8(255)] * 3, -1)),
    ):
        shown.save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name), expected, err_msg=name)
    rgb.convert("CMYK").save(tmp_path / "ink.jpg", quality=100, subsampling=0)
    assert np.abs(read_image(tmp_path / "ink.jpg").astype(int) - image).mean() < 3


def test_floats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 6), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(FaimError, match=r"a\.tif: holds floating-point samples; expected whole"):
        read_image(tmp_path / "a.tif")


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [13_378, 46_000, 2**31 - 1])
def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path, side: int) -> None:
    path = put(tmp_path, "a.png", png_of(side, side))
    for read in (read_image, image_size):
        with pytest.raises(FaimError, match=r"expected at most 178956970 in all \(FAIM_MAX_IMAGE"):
            read(path)


def test_the_limit_of_pixels_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    path = put(tmp_path, "a.png", png_of(20_000, 20_000))
    monkeypatch.setenv("FAIM_MAX_IMAGE_PIXELS", "400000000")
    assert image_size(path) == (20_000, 20_000)
    monkeypatch.setenv("FAIM_MAX_IMAGE_PIXELS", "399999999")
    with pytest.raises(FaimError, match="is 20000x20000 pixels; expected at most 399999999"):
        image_size(path)
    monkeypatch.setenv("FAIM_MAX_IMAGE_PIXELS", "many")
    with pytest.raises(FaimError, match="FAIM_MAX_IMAGE_PIXELS: 'many' given; expected a whole"):
        image_size(path)


def test_names_of_any_bytes(tmp_path: Path) -> None:
    latin = tmp_path / os.fsdecode(b"caf\xe9.png")
    latin.write_bytes(encoded(scene(), "PNG"))
    np.testing.assert_array_equal(read_image(latin), scene())
    latin.write_bytes(b"no picture")
    with pytest.raises(FaimError, match=r"caf\\xe9\.png: cannot be decoded"):
        read_image(latin)


def test_programs_are_not_started_for_a_picture(tmp_path: Path) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    with pytest.raises(FaimError, match="cannot be decoded; expected an image"):
        read_image(put(tmp_path, "a.png", eps))


@pytest.mark.parametrize("kind", [*KINDS, "GIF", "BMP"])
def test_mutated_files_raise_our_error_alone(tmp_path: Path, kind: str) -> None:
    content = encoded(scene(), kind)
    generator = np.random.default_rng(len(content))
    for _ in range(40):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 6):
            damaged[place] = generator.integers(0, 256)
        path = put(tmp_path, "a.img", bytes(damaged))
        for read in (image_size, read_image):
            try:
                read(path)
            except FaimError as error:
                assert "\n" not in str(error)  # noqa: PT017 - any other error fails the test


def test_turned_colours_of_16_bits(tmp_path: Path) -> None:
    deep = scene().astype(np.uint16) * 257
    path = put(tmp_path, "a.tif", of_16_bits(deep, ".tif"))
    np.testing.assert_array_equal(read_image(path), scene())
    grey = io.BytesIO()
    Image.fromarray(deep[..., 0]).save(grey, "TIFF", tiffinfo={0x0112: 6})
    turned_grey = read_image(put(tmp_path, "b.tif", grey.getvalue()))
    np.testing.assert_array_equal(turned_grey[..., 1], np.rot90(scene()[..., 0], -1))
