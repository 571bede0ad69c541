"""What comes in by a microphone at 48 kHz is what comes in by a file, but for when it began."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import soundfile
import soxr
from daemons import HANGING, next_event, until_end
from scipy.optimize import linear_sum_assignment
from vmic import VirtualMicrophone, require
from voices import RATE, conversation, pipeline

from edge.client import Subscriber
from edge.events import Event, Health, SourceOpened
from edge.rttm import Turn
from edge.turns import turns_from_events

STEP = 0.01  # seconds between the moments at which the turns are compared


def labels(turns: list[Turn], moments: np.ndarray) -> np.ndarray:
    """The speaker at each moment, or an empty string."""
    heard = np.full(len(moments), "", dtype=object)
    for turn in turns:
        heard[(turn.start <= moments) & (moments < turn.end)] = turn.speaker
    return heard


def test_a_microphone_hears_what_a_file_holds(tmp_path: Path) -> None:
    require()
    # The pause lets the last segment close before the recording is stopped.
    samples = np.concatenate([conversation()[: 24 * RATE], np.zeros(2 * RATE, dtype=np.float32)])
    played = tmp_path / "played.wav"
    soundfile.write(played, soxr.resample(samples, RATE, 48_000), 48_000, subtype="PCM_16")
    offline = pipeline([])
    by_file = turns_from_events(offline.push(samples) + offline.flush())

    endpoint = f"ipc://{tmp_path / 'events'}"
    words = ["run", "--mic", "vmic", "--endpoint", endpoint, "--wait-subscriber"]
    words += ["--store", str(tmp_path / "speakers.db")]
    program = f"import sys; from edge.cli import main; sys.exit(main({words!r}))"
    events: list[Event] = []
    with VirtualMicrophone() as microphone, microphone.record(program) as daemon:
        with Subscriber(endpoint) as subscriber:
            while not isinstance(next_event(subscriber).event, SourceOpened):
                pass
            microphone.play(played)
            daemon.send_signal(signal.SIGINT)
            events = [envelope.event for envelope in until_end(subscriber)]
        assert daemon.wait(HANGING) == 0
    assert isinstance(events[-1], Health)
    assert events[-1].overflowed == 0

    by_microphone = turns_from_events(events)
    # The microphone was open for a while before the playing began.
    delay = by_microphone[0].start - by_file[0].start
    moments = np.arange(0.0, len(samples) / RATE, STEP)
    expected, heard = labels(by_file, moments), labels(by_microphone, moments + delay)
    # Two voices found at the same moment may get each other's numbers.
    names, others = sorted(set(expected) - {""}), sorted(set(heard) - {""})
    assert len(names) == len(others) == 3, (by_file, by_microphone)
    together = np.array([[np.mean((expected == a) & (heard == b)) for b in others] for a in names])
    silence = float(np.mean((expected == "") & (heard == "")))
    agreement = silence + together[linear_sum_assignment(-together)].sum()
    assert agreement > 0.9, (by_file, by_microphone)
