"""Risk: two microphones at once are mixed up, or cost each other samples."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from daemons import HANGING, next_event, until_end
from microphone_faults import RUN
from vmic import VirtualMicrophone, alsa_environment, require
from voices import RATE, beginning

from edge.client import Subscriber
from edge.events import Health, SourceOpened, SpeechStarted

# Each source ends once it has heard its own noise to the end.
CAPTURE = """
import sys, threading
import numpy as np
from edge.sources.microphone import MicrophoneSource

def capture(name, folder):
    heard, loud = [], 0
    with MicrophoneSource(name) as source:
        print("recording\\n", end="", flush=True)  # in one piece: the other thread prints as well
        for block in source.blocks():
            assert (block.lost, block.gap) == (0, 0)
            heard.append(block.samples)
            loud += np.count_nonzero(block.samples)
            if loud >= 3 * 48_000 and not block.samples.any():
                break
    np.save(f"{folder}/{name}", np.concatenate(heard))

threads = [threading.Thread(target=capture, args=[n, sys.argv[1]]) for n in ("left", "right")]
[t.start() for t in threads]
[t.join() for t in threads]
"""


def test_each_is_captured_bit_by_bit(tmp_path: Path) -> None:
    require()
    names = ["left", "right"]
    played = {}
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).integers(1, 2**15, 3 * 48_000).astype(np.int16)
        noise[::2] *= -1
        played[name] = noise
        silence = np.zeros(48_000, np.int16)  # the end may be cut off
        soundfile.write(tmp_path / f"{name}.wav", np.append(noise, silence), 48_000)
    with VirtualMicrophone("left") as left, VirtualMicrophone("right") as right:
        environment = os.environ | alsa_environment(left.config, right.config)
        command = [sys.executable, "-c", CAPTURE, str(tmp_path)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as capture:
            try:
                assert capture.stdout is not None
                assert [capture.stdout.readline() for _ in names] == [b"recording\n"] * 2
                with ThreadPoolExecutor() as pool:
                    microphones = zip((left, right), names, strict=True)
                    list(pool.map(lambda m: m[0].play(tmp_path / f"{m[1]}.wav"), microphones))
                assert capture.wait(HANGING) == 0
            finally:
                capture.kill()  # it ends by itself only where it heard everything
    for name, noise in played.items():
        samples = np.load(tmp_path / f"{name}.npy")
        heard = samples[np.flatnonzero(samples)[0] :][: len(noise)]
        np.testing.assert_array_equal(heard * 32768, noise)


def test_the_daemon_keeps_their_streams_apart(tmp_path: Path) -> None:
    """One hears people, the other nobody."""
    require()
    speech = soxr.resample(beginning()[: 5 * RATE], RATE, 48_000)
    soundfile.write(tmp_path / "speech.wav", speech, 48_000, subtype="PCM_16")
    endpoint = f"ipc://{tmp_path / 'events'}"
    words = ["run", "--mic", "le*", "--mic", "right", "--endpoint", endpoint, "--wait-subscriber"]
    words += ["--store", str(tmp_path / "speakers.db")]
    with VirtualMicrophone("left") as left, VirtualMicrophone("right") as right:
        environment = os.environ | alsa_environment(left.config, right.config)
        command = [sys.executable, "-c", RUN.format(words=words)]
        with (
            Subscriber(endpoint) as events,
            subprocess.Popen(command, env=environment) as daemon,
        ):
            opened = [next_event(events) for _ in range(2)]
            right.play(tmp_path / "speech.wav")
            daemon.terminate()
            envelopes = opened + until_end(events) + until_end(events)
            assert events.missed == 0
            assert daemon.wait(HANGING) == 0
    sources = {e.stream: e.event for e in envelopes if isinstance(e.event, SourceOpened)}
    assert sources == {
        "mic1": SourceOpened("left", 48_000, 1),
        "mic2": SourceOpened("right", 48_000, 1),
    }
    assert {e.stream for e in envelopes if isinstance(e.event, SpeechStarted)} == {"mic2"}
    ends = [e.event for e in envelopes if isinstance(e.event, Health) and e.event.final]
    assert [(end.overflowed, end.missing) for end in ends] == [(0, 0), (0, 0)]
