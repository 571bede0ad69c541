"""Risk: audio is lost, altered or made up between the device and the reader."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import vmic

# A signal handler closes the source, as the daemon's does.
CAPTURE = """
import signal, sys
from edge.sources.microphone import MicrophoneSource
with MicrophoneSource("vmic") as source:
    signal.signal(signal.SIGTERM, lambda *_: source.close())
    for block in source.blocks():
        assert len(block.samples) <= source.rate // 10 and block.samples.dtype == "float32"
        assert block.lost == 0
        sys.stdout.buffer.write(block.samples.tobytes())
        sys.stdout.buffer.flush()
print(source.name, source.rate, source.channels, file=sys.stderr)
"""


DEVICES = """
import argparse
from edge.commands import devices
parser = argparse.ArgumentParser()
devices.add_parser(parser.add_subparsers())
args = parser.parse_args(["devices"])
raise SystemExit(args.handler(args))
"""


@pytest.fixture
def microphone() -> Iterator[vmic.VirtualMicrophone]:
    vmic.require()
    with vmic.VirtualMicrophone() as microphone:
        yield microphone


def test_capture_is_bit_exact(microphone: vmic.VirtualMicrophone, tmp_path: Path) -> None:
    """Noise without a zero sample: what follows the silence is its first sample."""
    played = np.random.default_rng(0).integers(1, 2**15, 5 * vmic.RATE).astype(np.int16)
    played[::2] *= -1
    silence = np.zeros(vmic.RATE, np.int16)  # may be cut off by the end of the capture
    soundfile.write(tmp_path / "noise.wav", np.append(played, silence), vmic.RATE)
    with microphone.record(CAPTURE) as capture:
        assert capture.stdout is not None and capture.stderr is not None
        recording = [capture.stdout.read(4)]  # waits until it records
        reader = threading.Thread(
            target=lambda read: recording.append(read()), args=[capture.stdout.read]
        )
        reader.start()
        microphone.play(tmp_path / "noise.wav")
        capture.send_signal(signal.SIGTERM)
        reader.join()
        log = capture.stderr.read().decode()
        assert capture.wait() == 0, log
        assert log.split()[-3:] == ["vmic", "48000", "1"]
    samples = np.frombuffer(b"".join(recording), np.float32)
    heard = samples[np.flatnonzero(samples)[0] :][: len(played)]
    np.testing.assert_array_equal(heard * 32768, played)


def test_devices_lists_it_as_the_default(microphone: vmic.VirtualMicrophone) -> None:
    with microphone.record(DEVICES) as command:
        output, log = command.communicate(timeout=60)
    assert command.returncode == 0, log.decode()
    assert [line.split()[:3] for line in output.decode().splitlines()] == [
        ["index", "name", "rate"],
        ["*", "0", "vmic"],
    ]
