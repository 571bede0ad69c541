"""What a run was: configuration, versions and commit, written beside its results."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any


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
    """The resolved configuration (a dataclass), package versions, machine and commit."""
    packages = ("earmark", "torch", "numpy", "onnxruntime")
    return {
        "config": asdict(config),
        "commit": git_commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: version(name) for name in packages},
    }


def write_provenance(run: Path, config: Any) -> None:
    """Write `run/provenance.json`."""
    (run / "provenance.json").write_text(json.dumps(provenance(config), indent=2) + "\n")
