"""`make development`: diarization of simulated meetings of the training-side voices held out.

By it the settings of the runtime are chosen; `make eval` reports on other people. What the encoder
makes of a meeting is kept, so that other settings are judged in a minute or two.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from edge.config import load
from edge.encoder import DEFAULT_MODEL, EncoderStream, Model
from edge.errors import FAILED, INTERRUPTED, EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.pipeline import PipelineConfig
from edge.whole_file import replacing
from export.diarization import Diarization, judge
from export.hearing import Hearing, hear
from export.households import evaluate_households
from export.tables import diarization_table, naming_table, page
from train.lists import read_list
from train.manifest import Utterance, split_speakers
from train.simulate import Meeting, simulate_meeting

MINUTES = {2: 1.5, 3: 3.0, 4: 5.0, 5: 7.5, 6: 10.0, 8: 15.0}  # of a meeting, by speakers
EXCERPT_MINUTES = 0.5
EXCERPT_SPEAKERS = (2, 3, 4)
FULL_SCALE = 32767.0
SAMPLES = (3, 4)  # seeds of short meetings whose sound stands for all; the second is a telephone's
SAMPLE_SECONDS = 65.0  # they are made in blocks of a minute

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Rehearsal:
    """A meeting, and the file in which it is kept."""

    name: str
    meeting: Meeting
    kept: Path


class RecallingModel(Model):
    """A model that has heard a recording, and tells again what it made of it."""

    def __init__(self, model: Model, records: Samples) -> None:
        vars(self).update(vars(model))
        self._records = records

    def frame_stream(self) -> Recollection:
        """The records from their beginning."""
        return Recollection(self._records, self.spec.frames_per_record)


class Recollection:
    """A stream that tells records from memory, whatever is put in."""

    def __init__(self, records: Samples, frames_per_record: int) -> None:
        self._left = records
        self._frames_per_record = frames_per_record

    def push(self, fbank: Samples) -> Samples:
        """The next records, as many as the frames would make."""
        count = len(fbank) // self._frames_per_record
        records, self._left = self._left[:count], self._left[count:]
        return records


def main(argv: list[str] | None = None) -> int:
    """Judge settings; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m export.development", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with train.csv")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="folder of int8 graphs")
    parser.add_argument("--config", type=Path, help="settings of the runtime, as for earmark run")
    parser.add_argument("--meetings", type=int, default=36, help="of 2 to 8 voices (%(default)s)")
    parser.add_argument(
        "--excerpts", type=int, default=160, help="of half a minute, 2 to 4 voices (%(default)s)"
    )
    parser.add_argument(
        "--households", type=int, default=12, help="in which some are enrolled (%(default)s)"
    )
    parser.add_argument("--kept", type=Path, required=True, help="folder for what was heard")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time (all cores)")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error(f"--jobs is {args.jobs}, expected 1 or more")
    try:
        develop(args)
    except (EarmarkError, OSError) as error:
        print(f"development: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def develop(args: argparse.Namespace) -> None:
    """Print how well meetings, excerpts and names are told, at once and in the end."""
    console = page()
    model, config = Model.load(args.model), load(args.config).pipeline
    kept = args.kept / model.id
    meetings, excerpts = rehearsals(args.corpus, kept, args.meetings, args.excerpts)
    hear_one = partial(rehearse, args.model, config)
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        for what, group in (("meetings", meetings), ("excerpts of half a minute", excerpts)):
            if not group:
                continue
            heard = pool.map(hear_one, group)
            hearings = list(track(heard, description=what, total=len(group), transient=True))
            by_corpus = defaultdict[str, list[Hearing]](list)
            for rehearsal, hearing in zip(group, hearings, strict=True):
                by_corpus[rehearsal.meeting.collection].append(hearing)
            rows = [
                row
                for name, some in [*sorted(by_corpus.items()), ("all", hearings)]
                for row in _rows(f"{len(some)} of {name}", some)
            ]
            console.print(diarization_table(what, rows))
    if args.households:
        _, voices = split_speakers(read_list(args.corpus, "train"))
        named = evaluate_households(voices, args.corpus, model, args.households, config)
        console.print(naming_table(named))


def _rows(name: str, hearings: Sequence[Hearing]) -> list[Diarization]:
    """All the recordings together, by the labels at once and by the final ones."""
    outcome = judge(hearings)
    return [
        replace(outcome.at_once[-1], recording=f"{name}, at once"),
        replace(outcome.final[-1], recording=f"{name}, final"),
    ]


def rehearsals(
    corpus: Path, kept: Path, meetings: int, excerpts: int
) -> tuple[list[Rehearsal], list[Rehearsal]]:
    """Meetings of all sizes, in every second of which they interrupt each other; and excerpts.

    Raises:
        EarmarkError: the corpus does not suffice.
    """
    _, voices = split_speakers(read_list(corpus, "train"))
    sound = _sound(voices, corpus)

    def one(kind: str, seed: int, speakers: int, minutes: float, overlap: bool) -> Rehearsal:
        meeting = simulate_meeting(voices, corpus, speakers, 60 * minutes, seed, overlap=overlap)
        digest = sha256(repr((meeting, sound)).encode()).hexdigest()[:16]
        return Rehearsal(f"{kind}{seed}", meeting, kept / f"{digest}.npz")

    sizes = list(MINUTES)
    long, short = [], []
    for seed in range(meetings):
        speakers = sizes[seed % len(sizes)]
        overlap = seed // len(sizes) % 2 == 1
        long.append(one("meeting", seed, speakers, MINUTES[speakers], overlap))
    for seed in range(excerpts):
        speakers = EXCERPT_SPEAKERS[seed % len(EXCERPT_SPEAKERS)]
        short.append(one("excerpt", seed, speakers, EXCERPT_MINUTES, True))
    return long, short


def _sound(voices: Sequence[Utterance], corpus: Path) -> str:
    """What is another where meetings come to sound otherwise, whatever the cause."""
    digest = sha256()
    for seed in SAMPLES:
        meeting = simulate_meeting(voices, corpus, 2, SAMPLE_SECONDS, seed, overlap=True)
        digest.update(_pcm(meeting).tobytes())
    return digest.hexdigest()


def _pcm(meeting: Meeting) -> NDArray[np.int16]:
    sound = np.concatenate(list(meeting.blocks()))
    return np.rint(sound * FULL_SCALE).astype(np.int16)


def rehearse(folder: Path, config: PipelineConfig, rehearsal: Rehearsal) -> Hearing:
    """Hear a meeting with these settings; its sound goes through the encoder the first time."""
    model = Model.load(folder)
    if not rehearsal.kept.is_file():
        _keep(model, rehearsal)
    with np.load(rehearsal.kept) as kept:
        audio = kept["audio"].astype(np.float32) / np.float32(FULL_SCALE)
        records = kept["records"]
    recalling = RecallingModel(model, records)
    return hear(rehearsal.name, recalling, [audio], rehearsal.meeting.turns, config)


def _keep(model: Model, rehearsal: Rehearsal) -> None:
    """The sound of a meeting, in 16 bits, and the records of it and of a second of silence."""
    audio = _pcm(rehearsal.meeting)
    heard = np.pad(audio.astype(np.float32) / np.float32(FULL_SCALE), (0, SAMPLE_RATE))
    records = EncoderStream(model).push(heard)
    rehearsal.kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(rehearsal.kept) as partial_path:
        np.savez(partial_path, audio=audio, records=records)


if __name__ == "__main__":
    sys.exit(main())
