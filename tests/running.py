"""`earmark run` in a process of its own that says what it logs, for the tests of its operation."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml


class Running:
    """A daemon under test; its log is JSON, which `line` reads."""

    def __init__(self, process: subprocess.Popen[bytes], config: Path) -> None:
        self.process = process
        self.config = config
        self.lines: list[dict[str, Any]] = []

    def line(self, *kinds: str) -> dict[str, Any]:
        """The next line of one of these kinds."""
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line: dict[str, Any] = json.loads(raw)
            self.lines.append(line)
            if line["kind"] in kinds:
                return line
        raise AssertionError(f"the log ended without {kinds}: {self.lines}")


def write_config(path: Path, settings: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")


def basic(folder: Path) -> dict[str, Any]:
    """Settings that keep everything in a folder, and hear raw PCM on standard input."""
    return {
        "endpoint": f"ipc://{folder / 'events'}",
        "journal": str(folder / "journal"),
        "store": str(folder / "speakers.db"),
        "source": {"file": "-"},
        "log": "json",
    }


@contextmanager
def running(
    folder: Path, environment: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[Running]:
    """`earmark run` with its own configuration, killed at the end."""
    config = folder / "earmark.yaml"
    write_config(config, basic(folder) | settings)
    with subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "run", "--config", str(config)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        try:
            yield Running(process, config)
        finally:
            process.kill()
