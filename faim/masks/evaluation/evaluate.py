"""Masks of one CocoVID file against the true ones of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from faim.data.coco_vid import Annotation, CocoVid, FrameRecord, VideoRecord, read_mask
from faim.data.jaccard import jaccard
from faim.errors import FaimError
from faim.masks.evaluation.boundary import boundary_f
from faim.masks.evaluation.matching import Pair, match_annotations, match_frames
from faim.masks.evaluation.scores import MaskScore, MaskScores, ObjectScores, SequenceScores
from faim.pictures.image import Mask

Frames = dict[int, FrameRecord]


def evaluate_masks(
    predicted: CocoVid | Path | str,
    truth: CocoVid | Path | str,
    done: Callable[[], object] | None = None,
) -> MaskScores:
    """J, F and recall of every object, mask by mask.

    Images are matched by their ids, which must stand for the same file name and size. The
    annotations of an image are matched by `instance_id`, and where it is not known by their boxes.
    A true mask without a predicted one scores 0, and so does a predicted mask that no true
    annotation asks for. True annotations without mask are not scored, and neither are images that
    the truth does not have.

    An object's figures are means over its frames, and the data set's are means over its objects.
    Every frame counts: DAVIS leaves out the first and the last one of a sequence, as its methods
    are given the first mask; masks from boxes are given none.

    Args:
        predicted: annotations with masks, or their file.
        truth: annotations with true masks, or their file.
        done: called after each of the truth's frames.

    Raises:
        FaimError: a file is damaged; a mask is damaged or not of its image's size; the files are
            of different images, or have none in common; the truth has no mask.

    Example:
        >>> evaluate_masks("masks.json", "annotations.json").means.jaccard  # doctest: +SKIP
        0.787
    """
    ours = predicted if isinstance(predicted, CocoVid) else CocoVid(Path(predicted))
    theirs = truth if isinstance(truth, CocoVid) else CocoVid(Path(truth))
    frames = match_frames(ours, theirs)
    if not frames:
        raise FaimError(
            f"{ours.annotation_file}: has no image of {theirs.annotation_file}; expected masks of "
            "the same images"
        )
    notes: Counter[str] = Counter()
    if beyond := len(ours.frames) - len(frames):
        notes["predicted image that the truth does not have"] = beyond
    found = [_sequence(video, frames, notes, done) for video in theirs.videos]
    sequences = tuple(each for each in found if each.objects)
    if not any(mask.status != "extra" for s in sequences for o in s.objects for mask in o.masks):
        raise FaimError(
            f"{theirs.annotation_file}: no annotation has a mask; expected the true masks"
        )
    return MaskScores(sequences, dict(notes))


def read_or_none(annotation: Annotation, frame: FrameRecord) -> Mask | None:
    """The annotation's mask (h, w), None if it has no `segmentation`.

    Raises:
        FaimError: it is damaged, or not of the frame's size.
    """
    if not annotation.segmentation:
        return None
    try:
        return read_mask(annotation, frame.height, frame.width)
    except FaimError as error:
        raise FaimError(f"image {frame.image_id} ({frame.path.name}): {error}") from error


def _sequence(
    video: VideoRecord, frames: Frames, notes: Counter[str], done: Callable[[], object] | None
) -> SequenceScores:
    scores: dict[int, list[MaskScore]] = {}
    for frame in video.frames:
        other = frames.get(frame.image_id)
        for pair in match_annotations(other.annotations if other else (), frame.annotations):
            score = _score(pair, frame)
            if isinstance(score, str):
                notes[score] += 1
            else:
                scores.setdefault(pair.instance_id, []).append(score)
        if done:
            done()
    objects = (ObjectScores(number, tuple(masks)) for number, masks in sorted(scores.items()))
    return SequenceScores(video.name, tuple(objects))


def _score(pair: Pair, frame: FrameRecord) -> MaskScore | str:
    """The score, or why there is none."""
    places = frame.image_id, frame.frame_id
    mask = read_or_none(pair.predicted, frame) if pair.predicted else None
    if pair.truth is None:
        if mask is None or not mask.any():
            return "predicted annotation without mask, beside the true ones"
        return MaskScore(*places, 0.0, 0.0, "extra")
    true = read_or_none(pair.truth, frame)
    if true is None:
        return "annotation without a true mask"
    if mask is None:
        return MaskScore(*places, 0.0, 0.0, "without mask" if pair.predicted else "missing")
    return MaskScore(*places, jaccard(mask, true), boundary_f(mask, true))
