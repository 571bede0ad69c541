"""senko, an offline diarizer, on the conversations that Earmark hears live."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from edge.audio import read_audio
from edge.front_end import SAMPLE_RATE
from edge.rttm import read_rttm
from export.conversations import read_conversations
from export.diarization import Diarization, judge
from export.hearing import Hearing


def evaluate_senko(conversations: Path, rivals: Path) -> list[Diarization]:
    """The real conversations, and all together, by senko as it is installed in `rivals`.

    Where it does not run there are no rows, and standard error says why.

    Raises:
        EarmarkError: there are none, or a conversation or its truth cannot be read.
    """
    recordings = read_conversations(conversations)
    with tempfile.TemporaryDirectory() as temporary:
        folder, seconds = Path(temporary), {}
        for path, _ in recordings:
            audio = read_audio(path)
            seconds[path.stem] = len(audio) / SAMPLE_RATE
            soundfile.write(folder / f"{path.stem}.wav", audio, SAMPLE_RATE, subtype="PCM_16")
        done = subprocess.run(
            [sys.executable, "-m", "export.senko_process", temporary],
            env=os.environ | {"PYTHONPATH": str(rivals.resolve())},  # before what is ours
            cwd=Path(__file__).resolve().parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            why = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            remedy = f"Remove {rivals}; 'make eval' installs it"
            print(f"eval: senko is left out: {why}. {remedy}", file=sys.stderr)
            return []
        found = {path.stem: read_rttm(path) for path in folder.glob("*.rttm")}
    late = np.empty(0)  # all of it comes at the end
    return judge(
        [
            Hearing(
                recording=path.stem,
                seconds=seconds[path.stem],
                truth=truth,
                at_once=[],
                final=found.get(path.stem, []),
                first_latency=late,
                final_latency=late,
            )
            for path, truth in recordings
        ]
    ).final
