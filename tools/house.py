"""What of the package imports what: circles, arrows that point up, and a picture of the rooms.

    python tools/house.py --out docs/images/house.svg

Every import counts, those within functions and those for the type checker alone too. The rooms, and
the order in which they stand, are those of docs/architecture.md.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

#: From the ground up. A file of a room may import from its own room and from those before it.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("ground",),
    ("nn", "jobs"),
    ("data",),
    ("postprocess", "backends"),
    ("experiments",),
    ("families",),
    ("stream",),
    ("runtime",),
    ("evaluation",),
    ("masks", "training", "export"),
    ("report", "bench", "demo"),
    ("cli",),
)
#: Folders and files whose room is not called like them.
ROOM_OF = {
    "weights": "ground",
    "pictures": "ground",
    "convert_options": "cli",
    "demo_options": "demo",
}
#: What every room uses.
GROUND = "ground"
#: The package itself, which offers `load` to users; nothing may import it.
DOOR = "faim"
PACKAGE = Path(__file__).resolve().parents[1] / "faim"

Imports = dict[str, set[str]]


def imports_of(package: Path = PACKAGE) -> Imports:
    """Of every module of a package, by its name, the modules of the package that it imports."""
    files = {_module_name(path, package): path for path in package.rglob("*.py")}
    found: Imports = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found[name] = {each for node in ast.walk(tree) for each in _imported(node, files)}
    return found


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _imported(node: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif isinstance(node, ast.ImportFrom) and node.module in known and not node.level:
        module = str(node.module)
        for alias in node.names:
            inner = f"{module}.{alias.name}"
            yield inner if inner in known else module


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups that import each other, each sorted (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in imports.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            place = stack.index(node)
            group = sorted(stack[place:])
            del stack[place:]
            if len(group) > 1:
                found.append(group)

    for node in imports:
        if node not in index:
            visit(node)
    return found


def room_of(module: str) -> str:
    """The room that a module stands in; `DOOR` for the package itself."""
    parts = module.split(".")
    if len(parts) == 1:
        return DOOR
    place = ROOM_OF.get(parts[1], parts[1])
    return place if any(place in floor for floor in FLOORS) else GROUND


def rooms(imports: Mapping[str, set[str]]) -> dict[str, Counter[str]]:
    """Of every room, how often its files import from each of the others."""
    found: dict[str, Counter[str]] = {}
    for module, others in imports.items():
        counts = found.setdefault(room_of(module), Counter())
        counts.update(room_of(other) for other in others)
    for room, counts in found.items():
        del counts[room]
    return found


def arrows_up(imports: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Imports from a room on a higher floor, or of the door."""
    height = {room: floor for floor, names in enumerate(FLOORS) for room in names}
    return sorted(
        (module, other)
        for module, others in imports.items()
        for other in others
        if module != DOOR and (other == DOOR or height[room_of(other)] > height[room_of(module)])
    )


def picture(imports: Mapping[str, set[str]]) -> str:
    """An SVG of the floors with an arrow from every room to those it uses; all use the ground."""
    width, step, tall, wide = 860, 74, 34, 150
    height = step * len(FLOORS) + 20
    files = Counter(map(room_of, imports))
    places: dict[str, tuple[float, float]] = {}
    for floor, names in enumerate(FLOORS):
        for place, name in enumerate(names):
            x = width * (place + 1) / (len(names) + 1)
            places[name] = (x, height - step * (floor + 0.5))
    lines = []
    for room, counts in sorted(rooms(imports).items()):
        for other, count in sorted(counts.items()):
            if DOOR in (room, other) or other == GROUND:
                continue
            (x1, y1), (x2, y2) = places[room], places[other]
            bend = 60 if x1 == x2 and y2 - y1 > step else 0
            lines.append(
                f'<path d="M{x1:.0f} {y1 + tall / 2:.0f} Q{(x1 + x2) / 2 + 3 * bend:.0f} '
                f'{(y1 + y2) / 2:.0f} {x2:.0f} {y2 - tall / 2:.0f}" fill="none" stroke="#7a869a" '
                f'stroke-width="{min(0.4 + count / 12, 3):.1f}" opacity="0.45"/>'
            )
    for name, (x, y) in places.items():
        lines.append(
            f'<rect x="{x - wide / 2:.0f}" y="{y - tall / 2:.0f}" width="{wide}" height="{tall}" '
            'rx="5" fill="#f4f6fa" stroke="#33415c"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle">{name} '
            f'<tspan fill="#7a869a">{files[name]}</tspan></text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="14">\n<rect width="{width}" height="{height}" '
        'fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is wrong, and draw; exit status 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="SVG file to write")
    options = parser.parse_args(arguments)
    imports = imports_of()
    wrong = [f"circle: {', '.join(group)}" for group in circles(imports)]
    wrong += [f"circle of rooms: {', '.join(group)}" for group in circles(rooms(imports))]
    wrong += [f"up: {module} imports {other}" for module, other in arrows_up(imports)]
    print("\n".join(wrong) or f"{len(imports)} modules, no circle, no arrow up")
    if options.out:
        options.out.write_text(picture(imports), encoding="utf-8")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
