"""The one exception a user meets."""


class FaimError(Exception):
    """A wrong input, told in one sentence.

    The message names the file or option that was wrong and what was expected. The command line
    prints it on stderr, without a traceback, and exits with status 2.
    """
