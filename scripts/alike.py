"""Whether two answers of `earmark diarize --json` are alike, as those of two CPUs should be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MOST = 0.01  # of the labels of hundredths of a second: float32 is rounded otherwise on each CPU


def labels(path: Path) -> set[tuple[str, int]]:
    """Who speaks in which hundredths of a second."""
    return {
        (turn["speaker"], moment)
        for turn in json.loads(path.read_text())["turns"]
        for moment in range(round(100 * turn["start"]), round(100 * turn["end"]))
    }


def main() -> int:
    """Compare the two files; the exit status is 1 where they are not alike."""
    here, there = (labels(Path(name)) for name in sys.argv[1:3])
    share = len(here ^ there) / max(1, len(here | there))
    print(f"{share:.2%} of the labels differ, at most {MOST:.0%} expected")
    return int(share > MOST)


if __name__ == "__main__":
    sys.exit(main())
