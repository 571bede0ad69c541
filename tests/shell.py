"""`earmark` in a process of its own, as a user runs it."""

from __future__ import annotations

import subprocess
import sys

from daemons import HANGING


def earmark(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=HANGING,
        stdin=subprocess.DEVNULL,
        check=False,
    )
