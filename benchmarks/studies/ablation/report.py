"""What `ablation.py` found: tables for the terminal and for `docs/results.md`, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from rich.console import Console
from rich.table import Table as RichTable

from studies.ablation.figures import FIGURES, MODES, gain, summary
from studies.ablation.plan import MAIN, REFERENCE, ROWS

mpl.use("Agg")
from matplotlib import pyplot as plt

from faim.errors import FaimError
from faim.files import check_writable, write_json, write_whole

BEGIN, END = "<!-- ablation: begin -->", "<!-- ablation: end -->"
BASE = "YOLOX"
#: Characters that the tables take.
LEAST_WIDTH = 150
_COMPANY = {"alike": "several objects of a class", "distinct": "every class once"}
Report = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns; the first column has the names."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def report_of(report: Report) -> dict[str, Any]:
    """The figures over seeds, and the gains: of the first table over YOLOX, of all over FAIM.

    Args:
        report: `base`, as the one row of the base detector, and `rows` by name and seed.
    """
    rows = report["rows"]
    base = {seed: report["base"] for row in rows.values() for seed in row}
    reference = rows[REFERENCE]
    return {
        "summary": {
            BASE: {mode: summary({"0": report["base"]}, mode) for mode in MODES},
            **{name: {mode: summary(row, mode) for mode in MODES} for name, row in rows.items()},
        },
        "gain_over_yolox": {
            name: {mode: gain(row, base, mode, "frame") for mode in MODES[1:]}
            for name, row in rows.items()
        },
        "gain_over_faim": {
            name: {mode: gain(row, reference, mode) for mode in MODES[1:]}
            for name, row in rows.items()
            if name != REFERENCE and set(row) & set(reference)
        },
    }


def tables_of(report: Report) -> list[Table]:
    """All tables."""
    groups = [group for group in dict.fromkeys(row.group for row in ROWS) if group != MAIN]
    made = [_components(report), *_company(report)]
    made += [_parts(report, "by_degradation"), _parts(report, "by_speed")]
    made += [table for group in groups if (table := _group(report, group)).rows]
    if "references" not in report:
        return made
    return [*made, _proposals(report), _references(report)]


def _main_rows(report: Report) -> list[str]:
    return [row.name for row in ROWS if row.group == MAIN and row.name in report["rows"]]


def _components(report: Report) -> Table:
    columns = [
        "", "trainings", "AP50 stream", "AP50 global", "AP75 global", "AP50:95 global",
        "found % global", "flips global", "wrong labels % global", "boxes a frame global",
        "AP50 over YOLOX, stream / global",
        "AP50 a video against FAIM, global (95 %)",
    ]  # fmt: skip
    frame = report["summary"][BASE]["frame"]
    alone = _cells(frame)
    rows = [[f"{BASE}, frame by frame", "-", alone[0], *alone, "-", "-"]]
    for name in [BASE, *_main_rows(report)]:
        of = report["summary"][name]
        cells = [_cell(of["stream"]["ap50"]), *_cells(of["global"])]
        if name == BASE:
            rows.append([f"{BASE} with affinity, no training", "-", *cells, "-", "-"])
            continue
        over = report["gain_over_yolox"][name]
        gained = " / ".join(_signed(over[mode]) for mode in MODES[1:])
        against = "-" if name == REFERENCE else _per_video(report["gain_over_faim"][name])
        rows.append([name, str(len(report["rows"][name])), *cells, gained, against])
    return Table("Components", columns, rows)


def _company(report: Report) -> list[Table]:
    """One table a mode: where a class has several objects of a video, and where none has."""
    base = report["summary"][BASE]["frame"]["by_company"]
    made = []
    for mode in MODES[1:]:
        rows = [[f"{BASE}, frame by frame", *(_cell(value) for value in base.values())]]
        for name in _main_rows(report):
            found = report["summary"][name][mode]["by_company"]
            rows.append([name, *(_cell(found[kind]) for kind in base)])
        columns = ["", *(f"{_COMPANY[kind]}" for kind in base)]
        made.append(Table(f"AP50 by the objects of a video, {mode}", columns, rows))
    return made


def _parts(report: Report, part: str) -> Table:
    frame = report["summary"][BASE]["frame"][part]
    names = [BASE, *_main_rows(report)]
    title = f"AP50 {part.replace('_', ' ')}, global mode (YOLOX: frame by frame)"
    rows = []
    for kind, alone in frame.items():
        cells = [report["summary"][name]["global"][part][kind] for name in names[1:]]
        rows.append([kind.replace("_", " "), _cell(alone), *map(_cell, cells)])
    return Table(title, ["", *names], rows)


def _group(report: Report, group: str) -> Table:
    columns = [
        "", "trainings", "AP50 stream", "AP50 global", "over FAIM, stream / global",
        "the same a video, global (95 %)", "videos better / worse",
    ]  # fmt: skip
    rows = []
    for row in ROWS:
        if row.group != group or row.name not in report["gain_over_faim"]:
            continue
        of, over = report["summary"][row.name], report["gain_over_faim"][row.name]
        videos = over["global"]["videos"]
        rows.append(
            [
                row.name,
                str(len(report["rows"][row.name])),
                *(_cell(of[mode]["ap50"]) for mode in MODES[1:]),
                " / ".join(_signed(over[mode]) for mode in MODES[1:]),
                _per_video(over),
                f"{videos['better']} / {videos['worse']}",
            ]
        )
    return Table(group, columns, rows)


def _proposals(report: Report) -> Table:
    found = report["proposals"]
    rows = [
        [f"AP50 {mode}", *(f"{each[mode]['ap50']:.1f}" for each in found.values())]
        for mode in MODES
    ]
    return Table("Proposals a frame (n)", ["n", *found], rows)


def _references(report: Report) -> Table:
    found = report["references"]
    others = [str(int(m) - 1) for m in next(iter(found.values()))]
    rows = [
        [kind, *(f"{each['ap50']:.1f}" for each in by_frames.values())]
        for kind, by_frames in found.items()
    ]
    return Table("AP50 by the other frames that one sees", ["other frames", *others], rows)


def _cells(summary: Mapping[str, Any]) -> list[str]:
    """All figures of a mode."""
    return [_cell(summary[name], 2 if name == "boxes_per_frame" else 1) for name in FIGURES]


def _cell(figures: Mapping[str, Any], decimals: int = 1) -> str:
    text = f"{figures['mean']:.{decimals}f}"
    return text if figures["std"] is None else f"{text} ± {figures['std']:.{decimals}f}"


def _per_video(gains: Mapping[str, Any]) -> str:
    found = gains["global"]["videos"]
    return f"{found['mean']:+.1f} ({found['low']:+.1f} … {found['high']:+.1f})"


def _signed(figures: Mapping[str, Any]) -> str:
    text = f"{figures['mean']:+.1f}"
    return text if figures["std"] is None else f"{text} ± {figures['std']:.1f}"


def print_report(report: Report) -> None:
    """All tables on the terminal."""
    console = Console()
    console.width = max(console.width, LEAST_WIDTH)
    for table in tables_of(report):
        drawn = RichTable(title=table.title)
        for place, column in enumerate(table.columns):
            drawn.add_column(column, justify="right" if place else "left")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)
    console.print(f"{report['seconds'] / 60:.0f} minutes of computation")


def check_docs(folder: Path) -> None:
    """See before the work that `write_docs` will find what it needs.

    Raises:
        FaimError: no `results.md` with both marks, or a file that cannot be written.
    """
    _split(folder / "results.md")
    for name in ("ablation.json", "images/ablation.png"):
        check_writable(folder / name)


def write_docs(folder: Path, report: Report) -> None:
    """The tables between the marks of `results.md`, `ablation.json`, `images/ablation.png`."""
    before, after = _split(folder / "results.md")
    text = "\n".join([BEGIN, "", *map(_markdown, tables_of(report)), END])
    write_whole(folder / "results.md", lambda file: file.write_text(before + text + after, "utf-8"))
    write_json(folder / "ablation.json", dict(report))
    draw(report, folder / "images/ablation.png")


def _split(file: Path) -> tuple[str, str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FaimError(f"{file}: cannot be read ({error}); expected results.md") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise FaimError(f"{file}: lacks the marks; expected lines {BEGIN} and {END}")
    return before, after


def _markdown(table: Table) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (table.columns, *table.rows)]
    lines.insert(1, f"|{' --- |' * len(table.columns)}")
    return f"**{table.title}**\n\n" + "\n".join(lines) + "\n"


def draw(report: Report, file: Path) -> None:
    """Components and gain by degradation; references and proposals where they were looked at.

    Raises:
        FaimError: the file cannot be written.
    """
    count = 4 if "references" in report else 2
    figure, panels = plt.subplots(1, count, figsize=(4.75 * count, 4.2))
    _draw_components(panels[0], report)
    _draw_degradations(panels[1], report)
    if "references" in report:
        _draw_curves(panels[2:], report)
    figure.tight_layout()
    try:
        figure.savefig(file, dpi=110)
    except OSError as error:
        raise FaimError(f"{file}: cannot be written ({error})") from error
    finally:
        plt.close(figure)


def _draw_curves(panels: Any, report: Report) -> None:
    _draw_lines(
        panels[0], "what a frame sees beside itself", "other frames",
        {kind: {int(m) - 1: found["ap50"] for m, found in by.items()}
         for kind, by in report["references"].items()},
    )  # fmt: skip
    _draw_lines(
        panels[1], "proposals a frame", "n",
        {mode: {int(n): found[mode]["ap50"] for n, found in report["proposals"].items()}
         for mode in MODES[1:]},
    )  # fmt: skip


def _draw_components(panel: Any, report: Report) -> None:
    names = _main_rows(report)
    panel.axhline(report["summary"][BASE]["frame"]["ap50"]["mean"], color="grey", label=BASE)
    for place, mode in enumerate(MODES[1:]):
        for spot, name in enumerate(names):
            values = report["summary"][name][mode]["ap50"]["each"]
            at = spot + 0.3 * place - 0.15
            panel.bar(at, sum(values) / len(values), 0.28, color=f"C{place}", alpha=0.5)
            panel.plot([at] * len(values), values, "k.", markersize=5)
        panel.bar(0, 0, color=f"C{place}", alpha=0.5, label=mode)
    low = min(min(report["summary"][n][m]["ap50"]["each"]) for n in names for m in MODES[1:])
    panel.set(ylim=(min(low, report["summary"][BASE]["frame"]["ap50"]["mean"]) - 3, None))
    labels = [name.replace(" + ", " +\n").replace(", ", ",\n") for name in names]
    panel.set(title="AP50, a dot a training", xticks=range(len(names)), xticklabels=labels)
    panel.legend(fontsize=8, loc="lower right", framealpha=0.9)
    panel.grid(axis="y", alpha=0.3)


def _draw_degradations(panel: Any, report: Report) -> None:
    alone = report["summary"][BASE]["frame"]["by_degradation"]
    names = _main_rows(report)
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        found = report["summary"][name]["global"]["by_degradation"]
        gains = [found[kind]["mean"] - alone[kind]["mean"] for kind in alone]
        spots = [spot + width * (place - (len(names) - 1) / 2) for spot in range(len(gains))]
        panel.bar(spots, gains, width, color=f"C{place + 2}", label=name)
    labels = [kind.replace("_", "\n") for kind in alone]
    panel.set(title="AP50 over YOLOX, global mode", xticks=range(len(labels)), xticklabels=labels)
    panel.axhline(0, color="black", linewidth=0.8)
    panel.legend(fontsize=8)
    panel.grid(axis="y", alpha=0.3)


def _draw_lines(
    panel: Any, title: str, label: str, lines: Mapping[str, Mapping[int, float]]
) -> None:
    for name, points in lines.items():
        panel.plot(list(points), list(points.values()), "o-", label=name, markersize=4)
    panel.set(title=f"AP50: {title}", xlabel=label)
    panel.legend(fontsize=8)
    panel.grid(alpha=0.3)
