"""Risk: what the ring lost is forgotten or miscounted; the wrong microphone is opened.

The device is a fake here, so that a reader can be slow on purpose and a device be odd.
"""

from __future__ import annotations

import ctypes.util
import errno
import multiprocessing
import os
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.errors import EarmarkError
from edge.sources.capture import Capture, CaptureRequest
from edge.sources.capture_process import CaptureProcess
from edge.sources.devices import find_device, list_devices

RATE = 48_000


class FakePortAudio(SimpleNamespace):
    """Stands in for the module sounddevice. Sample i of the one stream is i, on every channel."""

    class PortAudioError(Exception):
        pass

    def __init__(self, names: list[str], rates: tuple[int, ...], channels: tuple[int, ...]) -> None:
        super().__init__(default=SimpleNamespace(device=[0, -1]))
        self.names, self.rates, self.channels = names, rates, channels
        self.active, self.busy, self.position = True, False, 0

    def query_devices(self) -> list[dict[str, Any]]:
        rest = {"default_samplerate": float(self.rates[0]), "max_input_channels": self.channels[-1]}
        return [{"name": name, **rest} for name in self.names]

    def check_input_settings(self, device: int, samplerate: int, channels: int, dtype: str) -> None:
        if self.busy or samplerate not in self.rates or channels not in self.channels:
            raise self.PortAudioError("refused")

    def InputStream(self, callback: Any, channels: int, **_settings: Any) -> FakePortAudio:  # noqa: N802
        self.callback, self.opened_channels = callback, channels
        return self

    def start(self) -> None:
        self.deliver(4800)

    def deliver(self, count: int) -> None:
        """Call back with `count` frames, 480 at a time."""
        for start in range(self.position, self.position + count, 480):
            ramp = np.arange(start, start + 480, dtype=np.float32)
            self.callback(np.repeat(ramp[:, None], self.opened_channels, 1), 480, None, None)
        self.position += count


def install(monkeypatch: pytest.MonkeyPatch, fake: FakePortAudio) -> FakePortAudio:
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


@pytest.mark.parametrize("channels", [1, 6])
def test_slow_reader_learns_exactly_what_it_lost(
    monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    fake = install(monkeypatch, FakePortAudio(["mic"], (RATE,), (channels,)))
    with Capture() as source:
        assert (source.rate, source.channels) == (RATE, channels)
        blocks = source.blocks()
        first = next(blocks)
        assert (first.lost, len(first.samples)) == (0, 4800)
        fake.deliver(7 * RATE)  # the ring holds 5 s
        position, lost = 4800, 0
        for _ in range(50):
            block = next(blocks)
            lost += block.lost
            position += block.lost
            expected = np.arange(position, position + len(block.samples), dtype=np.float32)
            np.testing.assert_array_equal(block.samples, expected)
            position += len(block.samples)
        assert lost == 2 * RATE
        assert position == fake.position
        source.close()
        assert list(blocks) == []


def test_what_came_before_the_device_went_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install(monkeypatch, FakePortAudio(["mic"], (RATE,), (1,)))
    with Capture() as source:
        blocks = source.blocks()
        next(blocks)
        fake.deliver(960)
        fake.active = False
        assert len(next(blocks).samples) == 960
        with pytest.raises(EarmarkError, match="stopped delivering after 5760 samples"):
            next(blocks)


def test_close_from_another_thread_ends_a_silent_microphone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, FakePortAudio(["mic"], (RATE,), (1,)))
    with Capture() as source:
        blocks = source.blocks()
        next(blocks)
        threading.Timer(0.3, source.close).start()
        assert list(blocks) == []


def test_samples_that_are_not_finite_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install(monkeypatch, FakePortAudio(["mic"], (RATE,), (1,)))
    with Capture() as source:
        blocks = source.blocks()
        next(blocks)
        fake.callback(np.array([[0], [np.nan]], np.float32), 2, None, None)
        with pytest.raises(EarmarkError, match="got nan at sample 4801"):
            next(blocks)


@pytest.mark.parametrize(("rates", "rate"), [((44_100, 48_000), 48_000), ((44_100,), 44_100)])
def test_48_khz_is_preferred(
    monkeypatch: pytest.MonkeyPatch, rates: tuple[int, ...], rate: int
) -> None:
    install(monkeypatch, FakePortAudio(["mic"], rates, (1, 2)))
    source = Capture()
    assert (source.rate, source.channels) == (rate, 1)


def test_device_that_refuses_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install(monkeypatch, FakePortAudio(["mic"], (RATE,), (1,)))
    fake.busy = True
    with pytest.raises(EarmarkError, match="'mic' cannot be opened: refused"):
        Capture()


NAMES = ["USB Audio", "USB Audio Pro", "built-in"]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(None, 0), (1, 1), ("1", 1), ("usb audio", 0), ("PRO", 1), ("BUILT", 2)],
)
def test_device_by_index_or_name(
    monkeypatch: pytest.MonkeyPatch, wanted: str | int | None, index: int
) -> None:
    install(monkeypatch, FakePortAudio(NAMES, (RATE,), (1,)))
    assert find_device(wanted).index == index


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("USB", r"found 2. There is: 0: USB Audio; 1: USB Audio Pro\."),
        ("headset", "'headset', found 0. There is: 0: USB Audio; 1: USB Audio Pro; 2: built-in"),
        (7, "'7', found 0. There is: 0:"),
    ],
)
def test_device_that_is_unknown_or_ambiguous(
    monkeypatch: pytest.MonkeyPatch, wanted: str | int, said: str
) -> None:
    install(monkeypatch, FakePortAudio(NAMES, (RATE,), (1,)))
    with pytest.raises(EarmarkError, match=said):
        find_device(wanted)


def test_machine_without_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakePortAudio([], (RATE,), (1,)))
    with pytest.raises(EarmarkError, match=r"a default microphone, found 0.*no microphone at all"):
        Capture()


def test_machine_without_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real import, which finds no library."""
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(EarmarkError, match="apt-get install libportaudio2"):
        list_devices()


@pytest.mark.parametrize(
    ("does", "complaint"),
    [
        ("os.write(pipe, struct.pack('!i', 100) + b'half'); os._exit(3)", "exit status 3"),
        ("os.write(pipe, struct.pack('!i', 4) + b'junk'); time.sleep(60)", "is no message"),
        ("os.write(pipe, struct.pack('!i', 2) + b'\\xa1\\xff'); time.sleep(60)", "is no message"),
    ],
)
def test_a_capture_process_that_ends_within_a_message_is_a_lost_microphone(
    monkeypatch: pytest.MonkeyPatch, does: str, complaint: str
) -> None:
    """As when the machine runs out of memory and kills it; the daemon opens another."""
    whole = subprocess.Popen

    def popen(words: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        script = f"import os, struct, sys, time; pipe = int(sys.argv[1]); {does}"
        return whole([sys.executable, "-c", script, words[-1]], **settings)

    monkeypatch.setattr(subprocess, "Popen", popen)
    process = CaptureProcess(CaptureRequest(None, wait=False))
    try:
        with pytest.raises(EarmarkError, match=complaint):
            process.receive(60.0)
    finally:
        process.kill()


def test_a_capture_process_without_files_left_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(duplex: bool) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(multiprocessing, "Pipe", fail)
    with pytest.raises(EarmarkError, match="open files"):
        CaptureProcess(CaptureRequest(None, wait=False))
