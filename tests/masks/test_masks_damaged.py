import json

import cv2
import pytest
from masks_helpers import content, masks_of, picture, run, truth, write

from faim.errors import FaimError
from faim.masks.box import BoxMasks
from faim.masks.grabcut import GrabCutMasks


def made(path):
    return sorted(masks_of(path.parent / "out.json"))


@pytest.mark.parametrize("number", [[1], {}, None, "1"])
def test_an_image_whose_id_is_no_number(tmp_path, number):
    entries = content()
    path = write(tmp_path, entries)
    entries["images"][0]["id"] = number
    path.write_text(json.dumps(entries))
    summary = run(path, BoxMasks())
    assert sum(summary.problems.counts.values()) == 2  # the image, and its annotation
    assert made(path) == [20, 30, 40, 50]


@pytest.mark.parametrize("method", [BoxMasks(), GrabCutMasks()])
def test_an_image_too_large_for_the_memory_is_a_problem(tmp_path, method):
    entries = content()
    entries["images"][1].update(width=200_000, height=200_000)
    path = write(tmp_path, entries)
    summary = run(path, method)
    assert summary.problems.counts == {
        "image of too many pixels": 1,
        "annotation of an image that is left out": 1,
    }
    example = summary.problems.examples["image of too many pixels"]
    assert "image 2: is 200000x200000 pixels; expected at most 178956970 in all" in example
    assert made(path) == [10, 30, 40, 50]
    with pytest.raises(FaimError, match="image 2: is 200000x200000"):
        run(path, method, strict=True)


def as_jpeg(folder):
    """The file with images 1 to 5 as JPEGs."""
    entries = content()
    path = write(folder, entries)
    for image in entries["images"]:
        image["file_name"] = image["file_name"].replace(".png", ".jpg")
        noisy = picture(truth(image["id"]), image["id"])
        cv2.imwrite(str(folder / image["file_name"]), noisy, [cv2.IMWRITE_JPEG_QUALITY, 100])
    path.write_text(json.dumps(entries))
    return path


def test_half_a_jpeg_gets_no_mask(tmp_path):
    path = as_jpeg(tmp_path)
    file = tmp_path / "v1/1.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert cv2.imread(str(file)) is not None
    summary = run(path, GrabCutMasks())
    assert summary.problems.counts == {"image missing, broken or of another size": 1}
    (example,) = summary.problems.examples.values()
    assert example == f"{file}: is cut off; expected a whole image"
    assert made(path) == [10, 30, 40, 50]
