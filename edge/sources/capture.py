"""Captures one microphone, in a process of its own: `python -m edge.sources.capture`.

PortAudio lists devices anew only when all its streams are closed, and a frozen sound server holds
for ever whoever closes a stream of it. A process can be killed and begun anew, and harms no other
microphone. `edge.sources.microphone` starts it and reads the messages below from a pipe.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from edge._native import Ring
from edge.clock import now
from edge.errors import EarmarkError
from edge.sources import Block, Source, check_format, to_mono
from edge.sources.devices import find_device, look_again, portaudio

_POLL = 0.02  # s between looks at an empty ring
_SILENT_POLLS = 30  # 0.6 s without a sample: the device is frozen
_RING_SECONDS = 5  # how long the reader may be held up before audio is lost
_LATENCY = 0.1  # s that PortAudio may buffer: 40 callbacks a second instead of 115
_PREFERRED_RATE = 48_000
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0  # s from one look for an absent device to the next
_PLUG_IN = "Check that it is plugged in ('earmark devices'), then start again"


class Opened(msgspec.Struct, tag="opened", frozen=True):
    """The device records. `rate` in Hz."""

    name: str
    rate: int
    channels: int


class Captured(msgspec.Struct, tag="captured", frozen=True):
    """A `Block`; `samples` are the bytes of native float32."""

    samples: bytes
    lost: int
    at: float


class Absent(msgspec.Struct, tag="absent", frozen=True):
    """The device is not there yet."""


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The device is missing or stopped, as an `EarmarkError` says it. The last message."""

    what: str
    remedy: str


Message = Opened | Captured | Absent | Failed


class CaptureRequest(msgspec.Struct, frozen=True):
    """What to capture: `device` as of `find_device`; `wait` for it if it is absent."""

    device: str | int | None
    wait: bool


class Capture(Source):
    """A device, opened by `blocks()`, and closed by the end of the process alone.

    One channel is asked for; a device that only has more is averaged.

    Args:
        device: index, name, unique part of a name or pattern; None for the system's default.

    Raises:
        EarmarkError: PortAudio or the device is missing, or the device refuses to be opened.
    """

    def __init__(self, device: str | int | None = None) -> None:
        self._sounddevice = portaudio()
        self._device = find_device(device)
        self.name = self._device.name
        self.rate, self.channels = self._negotiate()
        check_format(self.name, self.rate, self.channels)
        self._closed = False
        self._stream: Any = None
        self._latest = (0, 0.0)  # floats in the ring, and when the last of them came

    def blocks(self) -> Iterator[Block]:
        """What it hears, in blocks of at most 100 ms, with what the ring had to drop.

        Raises:
            EarmarkError: the device went, or froze.
        """
        ring = Ring(_RING_SECONDS * self.rate * self.channels)
        self._stream = self._open(ring)  # kept: PortAudio calls back into it to the end
        yield from self._drain(ring, self._stream)

    def close(self) -> None:
        """End `blocks()`."""
        self._closed = True

    def _drain(self, ring: Ring, stream: Any) -> Iterator[Block]:
        silent_polls = 0
        heard = 0
        while not self._closed:
            active = stream.active  # asked first: what came before the end is still read
            written, at = self._latest
            start, samples, lost = ring.read(self.rate // 10 * self.channels)
            if len(samples):
                silent_polls = 0
                frames = samples.reshape(-1, self.channels)
                lost //= self.channels
                heard += lost
                mono = to_mono(self.name, frames, heard)
                heard += len(frames)
                behind = (written - start - len(samples)) / (self.rate * self.channels)
                yield Block(mono, lost, at=at - max(behind, 0.0))
                continue
            # Polls, not the clock: it would also count the time that this process was suspended.
            silent_polls += 1
            if not active or silent_polls > _SILENT_POLLS:
                how = (
                    "the device is gone"
                    if not active
                    else f"no sample came for {_SILENT_POLLS * _POLL:g} s"
                )
                raise EarmarkError(
                    f"microphone '{self.name}' stopped delivering after {heard} samples: {how}",
                    _PLUG_IN,
                )
            time.sleep(_POLL)

    def _open(self, ring: Ring) -> Any:
        def on_audio(frames: Any, _count: int, _time: Any, _status: Any) -> None:
            # Runs on PortAudio's thread, which loses audio if held up: copies, and notes when.
            ring.write(frames.reshape(-1))
            self._latest = (ring.written, now())

        try:
            stream = self._sounddevice.InputStream(**self._settings(), callback=on_audio)
            stream.start()
        except self._sounddevice.PortAudioError as error:
            raise self._refused(error) from error
        return stream

    def _negotiate(self) -> tuple[int, int]:
        """Rate and channels that the device accepts."""
        # For a device that converts, PortAudio reports 44.1 kHz whatever the hardware has, which
        # mostly is 48 kHz: asking for that avoids a conversion of unknown quality.
        refusal: Exception | None = None
        for channels in dict.fromkeys((1, self._device.channels)):
            for rate in dict.fromkeys((_PREFERRED_RATE, self._device.rate)):
                self.rate, self.channels = rate, channels
                try:
                    settings = self._settings()
                    del settings["latency"]
                    self._sounddevice.check_input_settings(**settings)
                except self._sounddevice.PortAudioError as error:
                    refusal = error
                else:
                    return rate, channels
        raise self._refused(refusal) from refusal

    def _settings(self) -> dict[str, Any]:
        return {
            "device": self._device.index,
            "samplerate": self.rate,
            "channels": self.channels,
            "dtype": "float32",
            "latency": _LATENCY,
        }

    def _refused(self, error: Exception | None) -> EarmarkError:
        return EarmarkError(f"microphone '{self.name}' cannot be opened: {error}", _PLUG_IN)


def capture(request: CaptureRequest, pipe: Connection) -> None:
    """Send what a device gives, until it fails or nobody reads any more."""

    def send(message: Message) -> None:
        pipe.send_bytes(msgspec.msgpack.encode(message))

    try:
        source = _await_device(request.device, send) if request.wait else Capture(request.device)
        send(Opened(source.name, source.rate, source.channels))
        for block in source.blocks():
            send(Captured(block.samples.tobytes(), block.lost, block.at or 0.0))
    except EarmarkError as error:
        send(Failed(error.what, error.remedy))


def _await_device(device: str | int | None, send: Callable[[Message], None]) -> Capture:
    wait = _FIRST_WAIT
    while True:
        try:
            return Capture(device)
        except EarmarkError:
            send(Absent())
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
        look_again()


def _end_with_reader(pipe: Connection) -> None:
    """End this process when nobody reads its pipe, even while a driver holds the main thread."""
    poll = select.poll()
    poll.register(pipe, 0)  # a pipe without a reader is an error, which is always told
    poll.poll()
    os._exit(0)


def main(words: list[str]) -> None:
    """Capture as asked: the request in JSON, and the pipe's file descriptor."""
    request = msgspec.json.decode(words[0], type=CaptureRequest)
    pipe = Connection(int(words[1]), readable=False)
    threading.Thread(target=_end_with_reader, args=[pipe], daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        capture(request, pipe)
    os._exit(0)  # PortAudio's own end would wait for a frozen server


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
