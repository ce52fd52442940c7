"""The one exception a user meets, and the exit statuses of commands."""

#: After wrong input, after Ctrl-C, and after SIGTERM.
EXIT_WRONG_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143


class FaimError(Exception):
    """A wrong input, told in one sentence.

    The message names the file or option that was wrong and what was expected. The command line
    prints it on stderr, without a traceback, and exits with status 2.
    """


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the run ends as on Ctrl-C, but for its exit status."""


def interrupted_status(interrupt: KeyboardInterrupt) -> int:
    """The exit status of a run that `interrupt` ended: 143 after SIGTERM, 130 after Ctrl-C."""
    return EXIT_TERMINATED if isinstance(interrupt, Terminated) else EXIT_INTERRUPTED
