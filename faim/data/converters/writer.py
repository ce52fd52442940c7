"""The CocoVID file of entries that have no ids yet; memory does not grow with the data set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Any

from faim.data.converters.items import Category, Problems
from faim.data.converters.summary import Summary
from faim.files import scratch_folder, write_whole

_LISTS = ("videos", "images", "annotations")


def write_coco_vid(
    kept: Iterable[Mapping[str, Any]],
    classes: Sequence[Category],
    folder: Path,
    summary: Summary,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Number everything from 1 and write the file, whole or not at all; not without videos.

    Args:
        kept: of each job `video`, what `video_entries` returned, and `counts`, `examples` and
            `notes` of its problems.
        classes: the categories.
        folder: where intermediate files may lie for a moment.
        summary: names the file, and is filled.
        info: what the file says of itself; None for nothing.

    Raises:
        OSError: an intermediate file cannot be written.
        FaimError: the file cannot be written.
    """
    summary.annotations_by_class = Counter({category.name: 0 for category in classes})
    with ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder(folder))
        parts = {
            name: stack.enter_context((scratch / f"{name}.txt").open("w+", encoding="utf-8"))
            for name in _LISTS
        }
        for name, entry in _numbered(kept, classes, summary):
            parts[name].write(("" if entry["id"] == 1 else ",\n") + _json(entry))
        if summary.videos:
            write_whole(summary.path, lambda part: _join(parts, classes, info, part))


def _numbered(
    kept: Iterable[Mapping[str, Any]], classes: Sequence[Category], summary: Summary
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries with the list they belong to; they are counted in `summary`."""
    instances = 0
    for record in kept:
        summary.problems.merge(
            Problems(counts=record["counts"], examples=record["examples"], notes=record["notes"])
        )
        video = record["video"]
        if video is None:
            continue
        summary.videos += 1
        first = video["frames"][0]
        size = {"width": first["width"], "height": first["height"]}
        yield "videos", {**video["extra"], "id": summary.videos, "name": video["name"], **size}
        tracks: dict[int, int] = {-1: -1}
        for frame in video["frames"]:
            summary.frames += 1
            summary.empty_frames += not frame["annotations"]
            own = {key: value for key, value in frame.items() if key not in _NOT_WRITTEN}
            ids = {"id": summary.frames, "video_id": summary.videos}
            yield "images", {**frame["extra"], **ids, **own}
            for annotation in frame["annotations"]:
                name = classes[annotation["category"]].name
                if annotation["track"] not in tracks:
                    instances += 1
                    tracks[annotation["track"]] = instances
                    summary.instances_by_class[name] += 1
                summary.annotations += 1
                summary.annotations_by_class[name] += 1
                summary.masks += "segmentation" in annotation
                yield "annotations", _annotation(annotation, summary, tracks)


_NOT_WRITTEN = ("extra", "annotations", "category", "track")


def _annotation(
    annotation: Mapping[str, Any], summary: Summary, tracks: Mapping[int, int]
) -> dict[str, Any]:
    return {
        **annotation["extra"],
        "id": summary.annotations,
        "image_id": summary.frames,
        "video_id": summary.videos,
        "category_id": annotation["category"] + 1,
        "instance_id": tracks[annotation["track"]],
        **{key: value for key, value in annotation.items() if key not in _NOT_WRITTEN},
    }


def _join(
    parts: Mapping[str, IO[str]],
    classes: Sequence[Category],
    info: Mapping[str, Any] | None,
    path: Path,
) -> None:
    categories = [
        {**category.extra, "id": number, "name": category.name}
        for number, category in enumerate(classes, 1)
    ]
    with path.open("w", encoding="utf-8") as file:
        said = "" if info is None else f'"info": {_json(info)},\n'
        file.write(f'{{{said}"categories": {_json(categories)}')
        for name, part in parts.items():
            file.write(f',\n"{name}": [\n')
            part.seek(0)
            copyfileobj(part, file)
            file.write("\n]")
        file.write("}\n")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
