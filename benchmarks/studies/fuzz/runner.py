"""Damaged inputs, read one after another by a child that is started again when it dies."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import IO, Literal, Self

from faim.errors import LONGEST_SENTENCE
from studies.fuzz.subjects import Subject

_CHILD = "studies.fuzz.child"
#: The folder that it is found from.
_FOLDER = str(Path(__file__).resolve().parents[2])
#: What an input may take: of the processor, of memory, and by the clock before it hangs.
MOST_SECONDS, MOST_MEGABYTES, PATIENCE = 10.0, 1000.0, 60.0
_START = 300.0


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    Attributes:
        kind: "other" is an error that is not ours, "crash" the process's end, "hang" no answer.
        text: of the error.
        seconds: of the processor.
        megabytes: of memory, at most.
    """

    kind: Literal["accepted", "refused", "other", "crash", "hang"]
    text: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def fault(self) -> str | None:
        """What is wrong with it; None where it was read, or refused in one sentence."""
        if self.kind not in ("accepted", "refused"):
            return f"{self.kind}: {self.text}"
        if len(self.text) > LONGEST_SENTENCE or "\n" in self.text:
            return f"no sentence: {len(self.text)} characters, {self.text[:200]!r}"
        if self.seconds > MOST_SECONDS:
            return f"slow: {self.seconds:.0f} s; {self.text}"
        if self.megabytes > MOST_MEGABYTES:
            return f"large: {self.megabytes:.0f} MB; {self.text}"
        return None


class Child:
    """The process that reads; see `child.py`. A context manager."""

    def __init__(self) -> None:
        """Nothing is started before the first input."""
        self._process: subprocess.Popen[str] | None = None

    def read(self, subject: str, folder: Path) -> Outcome:
        """What comes of the input in a folder."""
        process = self._running()
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it died meanwhile, which the answer tells
            print(json.dumps([subject, str(folder)]), file=process.stdin, flush=True)
        answer = self._answer(PATIENCE)
        if answer is None:
            self.close()
            return Outcome("hang", f"no answer in {PATIENCE:.0f} s", PATIENCE)
        if not answer:
            status = process.wait()
            self.close()
            name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            return Outcome("crash", name)
        return Outcome(**json.loads(answer))

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            path = os.pathsep.join(filter(None, (_FOLDER, os.environ.get("PYTHONPATH"))))
            self._process = subprocess.Popen(
                [sys.executable, "-m", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CI": "true", "PYTHONPATH": path},
            )
            if self._answer(_START) != "ready\n":
                self.close()
                raise RuntimeError(f"{_CHILD} does not start")
        return self._process

    def _answer(self, seconds: float) -> str | None:
        """A line, "" at the end of the process, None without an answer in time."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe: IO[str] = self._process.stdout
        ready, _, _ = select.select([pipe], [], [], seconds)
        return pipe.readline() if ready else None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()


@dataclass(frozen=True)
class Bench:
    """Where inputs are made: each subject's sound one once, then damaged copies of it."""

    folder: Path
    child: Child

    def attempt(self, subject: Subject, random: Random) -> tuple[str, Outcome]:
        """Damage a sound input and read it; the damaged one stays in `damaged`."""
        self.restore(subject)
        recipe = subject.damage(random, self.damaged)
        return recipe, self.child.read(subject.name, self.damaged)

    def restore(self, subject: Subject) -> None:
        """Put the sound input of a subject in the place of what there was."""
        sound = self.folder / "sound" / subject.name.replace(" ", "_")
        if not sound.exists():
            sound.mkdir(parents=True)
            subject.write(sound)
        shutil.rmtree(self.damaged, ignore_errors=True)
        shutil.copytree(sound, self.damaged)

    @property
    def damaged(self) -> Path:
        """The folder of the last input."""
        return self.folder / "damaged"
