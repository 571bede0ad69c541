"""How well speech and overlap are found, beside WebRTC's and silero's VAD.

On the real conversations, and in simulated meetings of the development split, in which people
interrupt and answer each other.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import webrtcvad
from numpy.typing import NDArray

from edge.audio import read_audio
from edge.encoder import Model
from edge.front_end import SAMPLE_RATE
from edge.gate import GateConfig
from edge.records import all_records
from edge.rttm import Turn
from export.conversations import read_conversations
from train.manifest import read_manifest
from train.metrics import average_precision, roc_auc
from train.simulate import simulate_meeting

Floats = NDArray[np.float64]
Audio = NDArray[np.float32]

STEP = 0.1  # seconds between the moments at which detectors are compared
WEBRTC_FRAME = 320  # samples
SILERO_FRAME = 512
MEETINGS, MEETING_VOICES, MEETING_SECONDS = 10, 4, 120.0


@dataclass(frozen=True)
class Curve:
    """What a detector says at the centres of its frames, in seconds."""

    times: Floats
    scores: Floats

    def at(self, times: Floats) -> Floats:
        """Between the frames, in proportion."""
        return np.interp(times, self.times, self.scores)


Detector = Callable[[Audio], Curve]
Recording = tuple[Audio, list[Turn]]  # and who speaks when


@dataclass(frozen=True)
class DetectionRow:
    """One detector on all recordings of a kind; `precision` is the average precision."""

    what: str
    where: str
    detector: str
    auc: float
    precision: float
    share: float  # of the moments that are targets: the precision of guessing


def evaluate_detection(corpus: Path, model: Model, rivals: Path | None) -> list[DetectionRow]:
    """Speech and overlap over every tenth of a second with a known truth.

    Raises:
        EarmarkError: the corpus does not suffice.
    """
    now, later = f"{model.spec.name}, at once", f"{model.spec.name}, {hindsight(model)} s later"
    speech: dict[str, Detector] = {
        f"Earmark {now}": lambda audio: activity(model, audio, "speech"),
        f"Earmark {later}": lambda audio: activity(model, audio, "later_speech"),
        "WebRTC": webrtc,
    }
    if rivals is not None:
        try:
            speech["silero"] = silero(rivals)
        except ImportError as error:
            print(f"eval: silero is left out: {error}. 'make eval' installs it", file=sys.stderr)
    overlap: dict[str, Detector] = {
        f"Earmark {later}": lambda audio: activity(model, audio, "later_overlap")
    }
    conversations = read_conversations(corpus / "conversations")
    heard = {
        "conversations": [(read_audio(path), truth) for path, truth in conversations],
        "simulated meetings": _meetings(corpus),
    }
    return [
        DetectionRow(what, where, name, *_judged(detector, recordings, least))
        for what, least, detectors in (("speech", 1, speech), ("overlap", 2, overlap))
        for where, recordings in heard.items()
        for name, detector in detectors.items()
    ]


def _meetings(corpus: Path) -> list[Recording]:
    voices = read_manifest(corpus / "dev.csv")
    meetings = (
        simulate_meeting(voices, corpus, MEETING_VOICES, MEETING_SECONDS, seed, overlap=True)
        for seed in range(MEETINGS)
    )
    return [(np.concatenate(list(meeting.blocks())), meeting.turns) for meeting in meetings]


def _judged(
    detector: Detector, recordings: list[Recording], least: int
) -> tuple[float, float, float]:
    """ROC-AUC, average precision and share of the moments at which `least` voices or more speak."""
    scores, targets = [], []
    for audio, turns in recordings:
        times = np.arange(STEP / 2, len(audio) / SAMPLE_RATE, STEP)
        scores.append(detector(audio).at(times))
        targets.append(voices_at(turns, times) >= least)
    score, target = np.concatenate(scores), np.concatenate(targets)
    return roc_auc(score, target), average_precision(score, target), float(target.mean())


def voices_at(turns: list[Turn], times: Floats) -> NDArray[np.int64]:
    """How many different people speak at each moment."""
    speaking = {
        speaker: np.any(
            [(times >= t.start) & (times < t.end) for t in turns if t.speaker == speaker], axis=0
        )
        for speaker in {t.speaker for t in turns}
    }
    count: NDArray[np.int64] = np.sum(list(speaking.values()), axis=0, dtype=np.int64)
    return count


def hindsight(model: Model) -> float:
    """Seconds after which the encoder says once more what it heard."""
    return model.spec.afterthought * model.record_samples / SAMPLE_RATE


def activity(
    model: Model, audio: Audio, what: Literal["speech", "later_speech", "later_overlap"]
) -> Curve:
    """A probability that the encoder tells of each record, at the time that it tells of."""
    records = all_records(model, GateConfig(), audio)
    times = np.array([(r.start + r.end) / (2 * SAMPLE_RATE) for r in records])
    if what != "speech":
        times -= hindsight(model)
    return Curve(times, np.array([getattr(model.activity(r.statistics), what) for r in records]))


def webrtc(audio: Audio) -> Curve:
    """How many of the detector's four settings hear speech; smoothed, as any user of it would."""
    pcm = (np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)
    count = len(pcm) // WEBRTC_FRAME
    frames = [pcm[i * WEBRTC_FRAME : (i + 1) * WEBRTC_FRAME].tobytes() for i in range(count)]
    heard = np.zeros(count)
    for aggressiveness in range(4):
        detector = webrtcvad.Vad(aggressiveness)
        heard += [detector.is_speech(frame, SAMPLE_RATE) for frame in frames]
    smooth = np.convolve(heard, np.full(9, 1.0 / 9.0), mode="same")
    return Curve(_centres(count, WEBRTC_FRAME), smooth)


def silero(folder: Path) -> Detector:
    """The VAD of the `silero-vad` wheel installed in `folder`.

    Raises:
        ImportError: it is not there.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    network = importlib.import_module("silero_vad").load_silero_vad(onnx=True)

    def detect(audio: Audio) -> Curve:
        network.reset_states()
        count = len(audio) // SILERO_FRAME
        frames = torch.from_numpy(audio[: count * SILERO_FRAME]).unflatten(0, (count, SILERO_FRAME))
        scores = [float(network(frame, SAMPLE_RATE)) for frame in frames]
        return Curve(_centres(count, SILERO_FRAME), np.array(scores))

    return detect


def _centres(count: int, frame: int) -> Floats:
    return (np.arange(count) + 0.5) * frame / SAMPLE_RATE
