"""Kinds of `faim data convert` beside ImageNet and DAVIS 2016, with their options."""

from __future__ import annotations

import argparse
from pathlib import Path

from faim.data.converters.common_options import Kind, add_common, held_out_file, target_of
from faim.errors import FaimError

#: Of a `data.yaml`; its reader is imported only where it runs.
SPLITS = ("train", "val", "test")


def _davis2017_options(parser: argparse.ArgumentParser) -> None:
    add_common(
        parser,
        "folder of JPEGImages, Annotations and ImageSets",
        lambda parsed: f"davis2017_{parsed.split}.json",
    )
    parser.add_argument("--split", default="train", help="list in ImageSets/2017 (train)")
    parser.add_argument(
        "--labels", type=Path, metavar="JSON", help="sequence to the classes of its objects"
    )


def _run_davis2017(parsed: argparse.Namespace) -> None:
    from faim.data.converters.davis2017 import convert_davis2017

    convert_davis2017(
        parsed.source,
        target_of(parsed),
        split=parsed.split,
        labels=parsed.labels,
        strict=parsed.strict,
        workers=parsed.workers,
    )


def _youtube_vos_options(parser: argparse.ArgumentParser) -> None:
    add_common(
        parser,
        "folder of train, with JPEGImages, Annotations and meta.json",
        lambda parsed: f"youtube_vos_{parsed.split}.json",
    )
    parser.add_argument("--split", choices=("train", "valid"), default="train")


def _run_youtube_vos(parsed: argparse.Namespace) -> None:
    from faim.data.converters.youtube_vos import convert_youtube_vos

    convert_youtube_vos(
        parsed.source,
        target_of(parsed),
        split=parsed.split,
        strict=parsed.strict,
        workers=parsed.workers,
    )


def _ovis_options(parser: argparse.ArgumentParser) -> None:
    add_common(
        parser,
        "folder of annotations_train.json and train",
        lambda parsed: f"ovis_{parsed.split}.json",
        files=_ovis_targets,
    )
    parser.add_argument("--split", choices=("train", "valid", "test"), default="train")
    parser.add_argument(
        "--hold-out",
        type=_amount,
        default=0.0,
        metavar="N",
        help="write N videos, or this share of them, to a second file, …_held_out.json",
    )


def _ovis_targets(parsed: argparse.Namespace) -> list[Path]:
    out = target_of(parsed)
    return [out, held_out_file(out)] if parsed.hold_out else [out]


def _run_ovis(parsed: argparse.Namespace) -> None:
    from faim.data.converters.ovis import convert_ovis

    convert_ovis(
        parsed.source,
        target_of(parsed),
        split=parsed.split,
        hold_out=parsed.hold_out,
        strict=parsed.strict,
        workers=parsed.workers,
    )


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 < value < 1 or (value >= 1 and value.is_integer())):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number and no share below 1")
    return value


def _epic_options(parser: argparse.ArgumentParser) -> None:
    add_common(
        parser,
        "folder of object_detection_images, or of kitchens with it",
        lambda parsed: f"epic_kitchens{f'_{parsed.only}' if parsed.only else ''}.json",
    )
    parser.add_argument("--annotations", type=Path, metavar="DIR", help="folder of the CSV files")
    parser.add_argument(
        "--split", type=Path, metavar="CSV", help="video_id,split (default: made from the names)"
    )
    parser.add_argument("--only", metavar="SPLIT", help="write one split: train, S1, S2 …")
    parser.add_argument(
        "--all-classes", action="store_true", help="all 352 nouns, also those without a box"
    )


def _run_epic(parsed: argparse.Namespace) -> None:
    from faim.data.converters.epic_kitchens import convert_epic_kitchens

    convert_epic_kitchens(
        parsed.source,
        target_of(parsed),
        annotations=parsed.annotations,
        split=parsed.split,
        only=parsed.only,
        all_classes=parsed.all_classes,
        strict=parsed.strict,
        workers=parsed.workers,
    )


def _mot_options(parser: argparse.ArgumentParser) -> None:
    add_common(
        parser,
        "folder of MOT17 or MOT20",
        lambda parsed: f"mot_{parsed.half}.json" if parsed.half else "mot.json",
    )
    parser.add_argument(
        "--detector", default="FRCNN", help="of MOT17's three: DPM, FRCNN (default) or SDP"
    )
    parser.add_argument(
        "--half", choices=("train", "val"), help="the first or second half of every video"
    )
    parser.add_argument(
        "--crowds",
        action="store_true",
        help="keep people not considered, as crowds: to find one is then not wrong",
    )


def _run_mot(parsed: argparse.Namespace) -> None:
    from faim.data.converters.mot import convert_mot

    convert_mot(
        parsed.source,
        target_of(parsed),
        detector=parsed.detector,
        half=parsed.half,
        crowds=parsed.crowds,
        strict=parsed.strict,
        workers=parsed.workers,
    )


def _yolo_options(parser: argparse.ArgumentParser) -> None:
    add_common(
        parser,
        "folder of images and labels, or of a data.yaml",
        files=lambda parsed: _yolo_targets(parsed).values(),
    )
    parser.add_argument(
        "--names", help="classes, separated by commas (default: of data.yaml or classes.txt)"
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="of data.yaml (default: every one, each in its own file, NAME_SPLIT.json)",
    )
    parser.add_argument(
        "--labels",
        metavar="FORM",
        help="what a label line holds, where that cannot be told: box, polygon, pose or obb, and "
        "after it +confidence, +track or +confidence+track",
    )


def _yolo_targets(parsed: argparse.Namespace) -> dict[str | None, Path]:
    """The JSON file of every split to convert; without splits, of all under None."""
    from faim.data.converters.yolo_folder import splits_of

    splits = (parsed.split,) if parsed.split else splits_of(parsed.source)
    out = target_of(parsed)
    if len(splits) <= 1:
        return {(splits[0] if splits else None): out}
    return {split: out.with_stem(f"{out.stem}_{split}") for split in splits}


def _run_yolo(parsed: argparse.Namespace) -> None:
    from faim.data.converters.yolo_folder import convert_yolo_folder

    names = None if parsed.names is None else [name.strip() for name in parsed.names.split(",")]
    if names is not None and not all(names):
        raise FaimError(f"--names {parsed.names!r}: an empty name; expected names like cat,dog")
    for split, out in _yolo_targets(parsed).items():
        convert_yolo_folder(
            parsed.source,
            out,
            names=names,
            split=split,
            labels=parsed.labels,
            strict=parsed.strict,
            workers=parsed.workers,
        )


VIDEO_KINDS: tuple[Kind, ...] = (
    Kind("davis2017", "DAVIS 2017: several objects a sequence", _davis2017_options, _run_davis2017),
    Kind(
        "youtube-vos",
        "YouTube-VOS: objects with masks, every fifth frame",
        _youtube_vos_options,
        _run_youtube_vos,
    ),
    Kind("ovis", "OVIS, or YouTube-VIS: objects with masks", _ovis_options, _run_ovis),
    Kind("epic-kitchens", "EPIC-KITCHENS-55: objects in kitchens", _epic_options, _run_epic),
    Kind("mot", "MOT17 or MOT20: pedestrians", _mot_options, _run_mot),
    Kind("yolo", "folders of frames with YOLO label files", _yolo_options, _run_yolo),
)
