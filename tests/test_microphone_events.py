"""What comes in by a microphone at 48 kHz is what comes in by a file, but for when it began."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import soundfile
import soxr
from daemons import HANGING, next_event, until_end
from vmic import VirtualMicrophone, require
from voices import RATE, beginning, pipeline

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
    samples = np.concatenate([beginning(), np.zeros(2 * RATE, dtype=np.float32)])
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
    agreement = float(np.mean(expected == heard))
    assert agreement > 0.9, (by_file, by_microphone)
