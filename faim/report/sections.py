"""The parts of the page that need more than `run.json`: curves, features and frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from faim.errors import FaimError
from faim.evaluation.average_precision import ap_of
from faim.evaluation.tables import Case, Floats
from faim.pictures.image import Image
from faim.report.columns import Column
from faim.report.drawing import as_jpeg, draw, frame_image
from faim.report.features import FEWEST_POINTS, neighbours_alike, place, standardised, thin
from faim.report.figures import map_of_points, precision_recall
from faim.report.frames import Difference, Judged, differences
from faim.report.run_folder import Run
from faim.report.svg import SIGNS, series_shape, series_variable
from faim.wording import counted

#: Characters of images in a page, so that it stays below 5 MB.
MOST_IMAGE_CHARACTERS = 3_000_000
#: Runs whose features are shown; each takes some seconds and up to 0.4 MB.
MOST_MAPS = 4


@dataclass(frozen=True)
class Shot:
    """One column's view of a frame: a `data:` address and what it shows."""

    column: Column
    image: str
    text: str


@dataclass(frozen=True)
class FramePair:
    """A frame as the two columns see it."""

    title: str
    shots: tuple[Shot, Shot]


@dataclass(frozen=True)
class FrameSection:
    """The frames in which two columns differ most, and what could not be shown."""

    first: Column
    second: Column
    pairs: list[FramePair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Map:
    """Features in the plane."""

    title: str
    figure: Markup
    text: str


@dataclass(frozen=True)
class MapSection:
    """One run's features before and after aggregation; `legend` is sign, colour and class."""

    run: str
    maps: list[Map]
    legend: list[tuple[str, str, str]]


def curves(cases: Mapping[Column, Case]) -> Markup:
    """Precision against recall of all columns; see `precision_curve`."""
    return precision_recall({column: precision_curve(case) for column, case in cases.items()})


def precision_curve(case: Case) -> Floats:
    """COCO's precision at IoU 0.5, mean over the classes that have ground truth.

    Returns:
        (101,) in [0, 1], at `RECALLS`; its mean is AP50.
    """
    curve: Floats = np.mean(list(ap_of(case).precision_50.values()), axis=0)
    return curve


def frame_section(
    first: Column, second: Column, cases: Mapping[Column, Case], most: int
) -> FrameSection:
    """At most `most` frames side by side, as many as a page of 5 MB holds."""
    data = cases[first].data
    section = FrameSection(first, second)
    shown = differences(cases[first], cases[second], most)
    if not shown:
        section.notes.append("In no frame do the two differ (--compare names two others).")
    missing, characters = 0, 0
    for number, found in enumerate(shown):
        image, there = frame_image(found.frame)
        shots = (
            _shot(first, image, found, found.first, data.classes),
            _shot(second, image, found, found.second, data.classes),
        )
        characters += sum(len(shot.image) for shot in shots)
        if characters > MOST_IMAGE_CHARACTERS:
            section.notes.append(
                f"{len(shown) - number} more frames would make the page too large."
            )
            break
        missing += not there
        section.pairs.append(FramePair(f"{found.video}, frame {found.place}", shots))
    if missing:
        section.notes.append(
            f"{missing} of {len(section.pairs)} images are missing or of another size, and grey "
            f"here; they were looked for in {data.image_root} (--images names another folder)."
        )
    return section


def map_section(run: Run, title: str) -> MapSection | str | None:
    """A run's features; a sentence where they cannot be shown; None where it kept none.

    Raises:
        FaimError: the file is damaged.
    """
    features = run.features()
    if features is None:
        return None
    features = thin(features)
    if len(features.labels) < FEWEST_POINTS:
        count = counted(len(features.labels), "proposal")
        return f"{title}: {count}, too few for a map of features."
    maps = []
    for when, values in (("before", features.before), ("after", features.after)):
        if values is None:
            continue
        rows = standardised(values)
        alike = neighbours_alike(rows, features.labels)
        text = f"The nearest neighbour is of the same class for {alike:.1f} %."
        name = f"{when.capitalize()} aggregation"
        try:
            places = place(rows)
        except FaimError as error:
            return f"{error}"
        salt = f"map {title} {when}"
        maps.append(
            Map(name, map_of_points(places, features.labels, f"{name}, {title}", salt), text)
        )
    legend = [
        (SIGNS[series_shape(label)], series_variable(label), run.classes[label])
        for label in sorted(set(features.labels.tolist()))
    ]
    return MapSection(title, maps, legend)


def _shot(
    column: Column, image: Image, found: Difference, judged: Judged, classes: Sequence[str]
) -> Shot:
    text = f"{judged.found} of {judged.objects} found, {judged.wrong} wrong"
    return Shot(column, as_jpeg(draw(image, found.frame, judged, classes)), text)
