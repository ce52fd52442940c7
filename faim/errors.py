"""The one exception a user meets, and the exit statuses of commands."""

#: After wrong input, and after Ctrl-C.
EXIT_WRONG_INPUT, EXIT_INTERRUPTED = 2, 130


class FaimError(Exception):
    """A wrong input, told in one sentence.

    The message names the file or option that was wrong and what was expected. The command line
    prints it on stderr, without a traceback, and exits with status 2.
    """
