"""`earmark config`: the settings as they come out, and where each comes from."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  earmark config show                               every setting, at its default
  earmark config show --config kitchen.yaml
  earmark config show --config kitchen.yaml --changed

What is printed is itself a configuration. A file may begin with another one, by a line such as
'base: all-rooms.yaml', named from its own folder; what it says itself goes before its base."""

END = "...\n"  # of a document that is a bare value


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "config",
        help="show the settings of 'earmark run' and where each comes from",
        description="Shows the settings of 'earmark run' and where each comes from.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="print them as YAML, each with its origin",
        description="Prints the settings as YAML, each with the file that it comes from.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("--config", type=Path, metavar="FILE", help="settings, in YAML")
    show.add_argument("--changed", action="store_true", help="only what a file says")
    show.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print the settings.

    Raises:
        EarmarkError: the file cannot be read, names an unknown key or holds a bad value.
    """
    import dataclasses

    from edge.config import load
    from edge.config_file import read_values

    config = load(args.config)
    files = read_values(args.config) if args.config else []
    for line in described(dataclasses.asdict(config), files, args.changed):
        print(line)
    return 0


def described(
    values: dict[str, Any],
    files: Sequence[tuple[Path, dict[Any, Any]]],
    changed: bool,
    within: tuple[str, ...] = (),
) -> Iterator[str]:
    """Lines of YAML, each value with a comment that names its origin.

    Args:
        values: every setting, or those of a section.
        files: that they come from, and what each says; the first goes before the others.
        changed: leave out what no file says.
        within: the keys that lead to the section.
    """
    import yaml

    indent = "  " * len(within)
    for key, value in values.items():
        place = (*within, key)
        if isinstance(value, dict) and value:
            lines = list(described(value, files, changed, place))
            if lines:
                yield f"{indent}{key}:"
                yield from lines
            continue
        origin = next((file for file, own in files if _says(own, place)), None)
        if origin is not None or not changed:
            text = yaml.safe_dump(value, default_flow_style=True, width=1000)
            line = f"{indent}{key}: {text.removesuffix(END).strip()}"
            yield f"{line:<44} # {origin or 'default'}"


def _says(values: Any, place: tuple[str, ...]) -> bool:
    """Whether a file's values hold one at this place."""
    for key in place:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True
