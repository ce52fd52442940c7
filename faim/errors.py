"""The one exception a user meets, and the exit statuses of commands."""

import re

#: Characters of a message; what a wrong file holds may be of any length.
LONGEST_SENTENCE = 2000
#: After wrong input, after Ctrl-C, and after SIGTERM.
EXIT_WRONG_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143


class FaimError(Exception):
    """A wrong input, told in one sentence.

    The message names the file or option that was wrong and what was expected. The command line
    prints it on stderr, without a traceback, and exits with status 2.

    What a library or a wrong file adds to it stays within one line: of a longer sentence the middle
    is left out, as its ends name the place and what was expected.
    """

    def __init__(self, sentence: str) -> None:
        if len(sentence) > LONGEST_SENTENCE:
            half = LONGEST_SENTENCE // 2 - 2
            sentence = f"{sentence[:half]} … {sentence[-half:]}"
        super().__init__(re.sub(r"\s*[\r\n]+\s*", " ", sentence))


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the run ends as on Ctrl-C, but for its exit status."""


def interrupted_status(interrupt: KeyboardInterrupt) -> int:
    """The exit status of a run that `interrupt` ended: 143 after SIGTERM, 130 after Ctrl-C."""
    return EXIT_TERMINATED if isinstance(interrupt, Terminated) else EXIT_INTERRUPTED
