"""The one exception that a user sees as a message instead of a traceback."""

from edge.printable import printable

# Exit statuses of all commands
FAILED = 1  # the exception below
INTERRUPTED = 130  # by Ctrl-C


class EarmarkError(Exception):
    """Something outside the program is wrong: an input, a device, a model, a configuration.

    Args:
        what: what came, and what was expected instead.
        remedy: what the user can do about it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        """The message, in which names of files and devices cannot steer a terminal."""
        return printable(super().__str__(), keep="\n")


def from_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C led to the error: packages that load make others of it, even a NameError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
