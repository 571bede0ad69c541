"""The toolchain's commands, imported as they run: it takes seconds, and Ctrl-C may come in them."""

from __future__ import annotations

from importlib import import_module

from edge.cli import exit_status


def train() -> int:
    """`earmark-train`; returns the exit status."""
    return _run("earmark-train", "train.cli")


def export() -> int:
    """`earmark-export`; returns the exit status."""
    return _run("earmark-export", "export.cli")


def trials() -> int:
    """`earmark-trials`; returns the exit status."""
    return _run("earmark-trials", "export.trials")


def _run(program: str, module: str) -> int:
    def work() -> int:
        status: int = import_module(module).main()
        return status

    return exit_status(program, work)
