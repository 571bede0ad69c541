"""What a run was: configuration, versions and commit, written beside its results."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge.errors import EarmarkError
from edge.whole_file import write_whole


def git_commit() -> str:
    """The commit of the source tree, with `+changes` where files differ; 'unknown' outside git."""
    root = Path(__file__).resolve().parents[1]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=12"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def provenance(config: Any) -> dict[str, Any]:
    """The command, its resolved configuration (a dataclass), versions, machine and commit."""
    packages = ("earmark", "torch", "numpy", "onnxruntime")
    return {
        "command": sys.argv,
        "config": asdict(config),
        "commit": git_commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: version(name) for name in packages},
    }


def write_provenance(run: Path, config: Any) -> None:
    """Write `run/provenance.json`."""
    write_whole(run / "provenance.json", json.dumps(provenance(config), indent=2) + "\n")


def check_unchanged(run: Path, config: Any) -> None:
    """Raise EarmarkError if the run was begun with another configuration."""
    path = run / "provenance.json"
    try:
        begun = _flat(json.loads(path.read_text())["config"])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise EarmarkError(
            f"{path} should say how the run there was begun, and cannot be read ({error!r})",
            "Begin in another folder with --run",
        ) from error
    now = _flat(json.loads(json.dumps(asdict(config))))
    changed = [key for key in now if begun.get(key) != now[key]]
    if changed:
        was = ", ".join(f"{key} {begun.get(key)} (now {now[key]})" for key in changed[:4])
        raise EarmarkError(
            f"{run} was begun with another configuration: {was}",
            "Give that one again, or begin in another folder with --run",
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = value if isinstance(value, dict) else None
        flat |= _flat(inner, f"{prefix}{key}.") if inner is not None else {prefix + key: value}
    return flat
