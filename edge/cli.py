"""The command `earmark`."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from edge import __version__
from edge.errors import FAILED, INTERRUPTED, EarmarkError, from_interrupt

COMMANDS = (
    "demo",
    "run",
    "satellite",
    "listen",
    "top",
    "web",
    "control",
    "keys",
    "devices",
    "doctor",
    "enroll",
    "adapt",
    "speakers",
    "verify",
    "identify",
    "diarize",
    "calibrate",
    "config",
    "bench",
)
OUTPUT_CLOSED = 141
EPILOG = """\
exit status: 0 all went well; 1 something is wrong outside the program, told in one line;
2 the command line is wrong; 130 interrupted; 141 the reader of the output went away;
3 and 4 are answers of verify, identify and adapt, told in their --help

begin with: earmark demo"""


def parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of one command, or of them all; each command sets `handler`."""
    result = argparse.ArgumentParser(
        prog="earmark",
        description="Marks who is speaking: who spoke when, is it who they say, how sure are we.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"earmark {__version__}")
    subparsers = result.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [command] if command else COMMANDS:
        importlib.import_module(f"edge.commands.{name}").add_parser(subparsers)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Only that command's modules are imported: 'doctor' works where others do not, and fast.
    command = words[0] if words and words[0] in COMMANDS else None

    def work() -> int:
        args = parser(command).parse_args(words)
        status: int = args.handler(args)
        return status

    return exit_status("earmark", work)


def exit_status(program: str, work: Callable[[], int]) -> int:
    """That of `work`, or of what hinders it, which is told as the program's line."""
    _complete_output()
    try:
        status = work()
        sys.stdout.flush()  # a reader that went away is noticed here and not at exit
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return OUTPUT_CLOSED
    except EarmarkError as error:
        what = str(error)
    except UnicodeEncodeError as error:  # of a file's name any bytes will do, of others not
        what = f"{error.object!r} is no text in UTF-8. Name it otherwise"
    except OSError as error:
        if error.filename is not None:  # such as one in a folder that others may not look into
            what = f"cannot use {error.filename!r}: {error.strerror}"
            what += ". Check the path, and who may use it"
        elif error.errno == errno.ENOENT:  # of all paths, the working folder alone comes unnamed
            what = "the folder in which this was begun is gone. Begin it in another one"
        elif error.errno == errno.ENOSPC:
            what = f"cannot write the output: {error.strerror}"
            _drop_output()
        else:
            raise
    except Exception as error:
        if not from_interrupt(error):
            raise
        return INTERRUPTED
    print(f"{program}: {what}", file=sys.stderr)
    return FAILED


def _complete_output() -> None:
    """Output that was closed goes nowhere; letters that its encoding lacks are shown as codes."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for good)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does by itself


def _drop_output() -> None:
    """What is still buffered must go somewhere when the interpreter flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
