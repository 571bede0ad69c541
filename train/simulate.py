"""Simulated meetings: real single-speaker speech in real turn-taking, for tuning diarization.

The voices are those held out from the training side, so that neither the encoder nor the
development split has anything to do with what is tuned here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.rttm import Turn, read_rttm
from train.corpus import Corpus
from train.waveforms import SAMPLE_RATE


@dataclass(frozen=True)
class Meeting:
    """Samples (n,) at 16 kHz, and who speaks when."""

    audio: NDArray[np.float32]
    turns: list[Turn]


def simulate_meeting(
    corpus: Corpus, turns_folder: Path, speakers: int, seconds: float, seed: int
) -> Meeting:
    """A meeting of `speakers` voices at most, timed like an excerpt of a real one."""
    random = np.random.default_rng([seed, speakers])
    timing = _excerpt(turns_folder, speakers, seconds, random)
    names = sorted({turn.speaker for turn in timing})
    voices = _voices(corpus)
    cast = random.choice(sorted(voices), size=len(names), replace=False)
    audio = random.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32) * 3e-4
    truth = []
    for name, voice in zip(names, cast, strict=True):
        speech = np.concatenate([_trimmed(corpus.waveforms[i]) for i in voices[voice]])
        speech *= 10.0 ** (random.uniform(-28.0, -20.0) / 20.0) / np.sqrt(np.mean(speech**2))
        used = 0
        for turn in (t for t in timing if t.speaker == name):
            start = int(turn.start * SAMPLE_RATE)
            count = min(int(turn.end * SAMPLE_RATE), len(audio)) - start
            audio[start : start + count] += np.resize(np.roll(speech, -used), count)
            used += count
            truth.append(Turn(turn.start, (start + count) / SAMPLE_RATE, str(voice)))
    return Meeting(np.clip(audio, -1.0, 1.0), sorted(truth))


def _excerpt(folder: Path, speakers: int, seconds: float, random: Generator) -> list[Turn]:
    """Turns of a random real meeting from a random moment on, of its first speakers there."""
    paths = sorted(folder.glob("*.rttm"))
    turns = read_rttm(paths[int(random.integers(len(paths)))])
    begin = random.uniform(0.0, max(1.0, turns[-1].end - seconds))
    inside = [
        Turn(max(t.start - begin, 0.0), min(t.end - begin, seconds), t.speaker)
        for t in turns
        if t.end > begin + 0.2 and t.start < begin + seconds - 0.2
    ]
    kept = list(dict.fromkeys(t.speaker for t in inside))[:speakers]
    return [t for t in inside if t.speaker in kept]


def _voices(corpus: Corpus) -> dict[str, list[int]]:
    """Recordings of the held-out speakers who have several seconds of whole sentences."""
    voices: dict[str, list[int]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    for index, utterance in zip(corpus.held_out_indices, corpus.held_out, strict=True):
        if utterance.speaker and utterance.seconds > 1.5:
            voices[utterance.speaker].append(int(index))
            seconds[utterance.speaker] += utterance.seconds
    return {name: rows for name, rows in voices.items() if seconds[name] > 8.0}


def _trimmed(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the quiet beginning and end: 25 dB below the loudest tenth of a second."""
    count = len(audio) // 1600
    level = np.sqrt(np.mean(audio[: count * 1600].reshape(count, 1600) ** 2, axis=1))
    loud = np.flatnonzero(level > level.max() * 10.0 ** (-25.0 / 20.0))
    return audio[loud[0] * 1600 : (loud[-1] + 1) * 1600]
