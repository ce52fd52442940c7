"""The viewer's benchmark: kept proposals give what the detector gives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

import faim
import viewer
from faim.choices import PostName
from faim.data.coco_vid import CocoVid, VideoRecord, read_frame
from faim.data.synth import generate
from faim.errors import FaimError
from faim.runtime.opening import Mode
from faim.runtime.pipeline import Detector
from faim.runtime.sources import ArraySource
from faim.structures import Detections
from faim.weights import default_weights
from lab import proposals as kept_proposals


def detector(post: PostName = "none", size: int = 128) -> Detector:
    """The embedded weights' base detector, frame by frame as the proposals are kept."""
    made = faim.load(
        default_weights(), aggregate="affinity", size=size, conf=0.001, post=post, backend="torch",
        device="cpu",
    )  # fmt: skip
    made.batch_size = 1
    return made


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoRecord:
    folder = tmp_path_factory.mktemp("synth")
    file = generate(
        folder, videos=1, frames=5, size=128, classes=7, severity="easy", seed=1, progress=False
    )
    return CocoVid(file).videos[0]


def check_equal(left: Iterable[Detections], right: Iterable[Detections]) -> None:
    pairs = list(zip(left, right, strict=True))
    for one, other in pairs:
        torch.testing.assert_close(one.boxes, other.boxes)
        torch.testing.assert_close(one.scores, other.scores)
        assert one.class_ids.tolist() == other.class_ids.tolist()
    assert sum(len(one.scores) for one, _ in pairs) >= 5


@pytest.mark.parametrize(
    ("mode", "post"),
    [("frame", "none"), ("frame", "repp"), ("global", "repp"), ("stream", "auto")],
)
def test_kept_proposals_give_what_the_detector_gives(
    video: VideoRecord, tmp_path: Path, mode: Mode, post: PostName
) -> None:
    made = detector(post)
    kept = kept_proposals.KeptProposals(made, tmp_path / "kept")
    source = ArraySource([read_frame(frame) for frame in video.frames])
    expected = [result.detections for result in made.run(source, mode, images=False)]
    for _ in range(2):  # made, and read from the file
        looked = kept.get(video)
        with torch.inference_mode():
            if mode == "stream":
                check_equal(viewer._stream(made, looked), expected)
            else:
                check_equal(viewer._whole(mode, made, looked), expected)


def test_proposals_of_other_settings_are_refused(video: VideoRecord, tmp_path: Path) -> None:
    kept_proposals.KeptProposals(detector(), tmp_path).get(video)
    with pytest.raises(FaimError, match="of other weights or settings; expected another --out"):
        kept_proposals.KeptProposals(detector(size=96), tmp_path).get(video)


@pytest.mark.parametrize(
    ("figure", "frame", "stream", "got", "good"),
    [
        ("wrong_labels", 10.0, 7.0, 0.7, True),
        ("wrong_labels", 10.0, 7.1, 0.71, False),
        ("wrong_labels", 0.0, 0.0, 0.0, True),
        ("wrong_labels", 0.0, 2.0, 1.0, False),
        ("found_share", 60.0, 65.0, 5.0, True),
        ("found_share", 60.0, 64.9, 4.9, False),
    ],
)
def test_bars(figure: str, frame: float, stream: float, got: float, good: bool) -> None:
    bar = next(bar for bar in viewer.BARS if bar.figure == figure)
    value, enough = bar.reached(frame, stream)
    assert (pytest.approx(value), enough) == (got, good)


def test_a_folder_is_needed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert viewer.main(["--weights", "w.pth", "--out", str(tmp_path / "out")]) == 2
    assert "neither given; expected a folder of DAVIS 2016" in capsys.readouterr().err
