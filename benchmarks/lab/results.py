"""Results in files, each made once: a program that was stopped goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faim.errors import EXIT_INTERRUPTED, EXIT_WRONG_INPUT, FaimError
from faim.files import check_writable, write_json
from faim.reading import read_json


class Kept:
    """Results in files of a folder, each made once."""

    def __init__(self, out: Path) -> None:
        """Keep them in `out`."""
        self.out = out
        self._seconds: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """What all that was asked for has taken, in whichever run it was made."""
        return sum(self._seconds.values())

    def find(self, name: str, recipe: Sequence[str]) -> dict[str, Any] | None:
        """The result of this name; None if it is not there.

        Raises:
            FaimError: its file is damaged, or holds the result of another recipe.
        """
        file = self.out / f"{name}.json"
        if not file.exists():
            return None
        content = read_json(file)
        if content.get("recipe") != self._movable(recipe) or "seconds" not in content:
            raise FaimError(
                f"{file}: the result of other settings; expected another --out, or this file away"
            )
        self._seconds[name] = content["seconds"]
        return content

    def add(self, name: str, recipe: Sequence[str], content: Mapping[str, Any]) -> dict[str, Any]:
        """Write a result, in the place of one of this name; `content` has its `seconds`."""
        result = {"recipe": self._movable(recipe), **content}
        check_writable(self.out / f"{name}.json")
        write_json(self.out / f"{name}.json", result)
        self._seconds[name] = result["seconds"]
        return result

    def get(
        self, name: str, recipe: Sequence[str], make: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The result of this name, made and timed now if it is not there."""
        found = self.find(name, recipe)
        if found is not None:
            return found
        started = time.monotonic()
        content = make()
        return self.add(name, recipe, {**content, "seconds": time.monotonic() - started})

    def _movable(self, recipe: Sequence[str]) -> list[str]:
        return [line.replace(str(self.out), "OUT") for line in recipe]


def status_of(program: str, work: Callable[[], object]) -> int:
    """The exit status of a program that keeps results: 0, 2 after wrong input, 130 after Ctrl-C."""
    try:
        work()
    except FaimError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        print(f"{program}: stopped; the same command goes on", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0
