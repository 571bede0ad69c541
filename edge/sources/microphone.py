"""A microphone as a source: PortAudio's callback fills the native ring, `blocks()` empties it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge._native import Ring
from edge.errors import EarmarkError
from edge.sources import Block, Source, check_format, to_mono

logger = logging.getLogger(__name__)

_POLL = 0.05  # s between looks at an empty ring
_SILENT_POLLS = 40  # 2 s without a sample: the device is frozen
_RING_SECONDS = 5  # how long the reader may be held up before audio is lost
_LATENCY = 0.1  # s that PortAudio may buffer: 40 callbacks a second instead of 115
_PREFERRED_RATE = 48_000
_PLUG_IN = "Check that it is plugged in ('earmark devices'), then start again"


@dataclass(frozen=True)
class Device:
    """An input device as PortAudio lists it. `rate` is its default, Hz."""

    index: int
    name: str
    rate: int
    channels: int
    default: bool


def list_devices() -> list[Device]:
    """The devices that can record, as they were when this process first asked.

    Raises:
        EarmarkError: PortAudio is not installed.
    """
    sounddevice = _portaudio()
    default = sounddevice.default.device[0]
    return [
        Device(
            index,
            str(device["name"]),
            round(device["default_samplerate"]),
            int(device["max_input_channels"]),
            index == default,
        )
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]


def find_device(wanted: str | int | None) -> Device:
    """The device with this index, this name or part of a name; the default one for None.

    Raises:
        EarmarkError: none or several fit; it lists the devices.
    """
    devices = list_devices()
    if isinstance(wanted, str) and wanted.isdecimal():
        wanted = int(wanted)
    if wanted is None:
        found = [d for d in devices if d.default]
    elif isinstance(wanted, int):
        found = [d for d in devices if d.index == wanted]
    else:
        name = wanted.casefold()
        found = [d for d in devices if name == d.name.casefold()]
        found = found or [d for d in devices if name in d.name.casefold()]
    if len(found) == 1:
        return found[0]
    asked = "a default microphone" if wanted is None else f"one microphone '{wanted}'"
    candidates = found or devices
    listing = "; ".join(f"{d.index}: {d.name}" for d in candidates) or "no microphone at all"
    raise EarmarkError(
        f"expected {asked}, found {len(found)}. There is: {listing}",
        "Name one by its index or a part of its name that no other has"
        if devices
        else "Plug one in and see whether 'arecord -l' lists it",
    )


class MicrophoneSource(Source):
    """A microphone, opened while `blocks()` runs.

    One channel is asked for; a device that only has more is averaged.

    Args:
        device: index, name or unique part of a name; None for the system's default.

    Raises:
        EarmarkError: PortAudio or the device is missing, or the device refuses to be opened.
    """

    def __init__(self, device: str | int | None = None) -> None:
        self._sounddevice = _portaudio()
        self._device = find_device(device)
        self.name = self._device.name
        self.rate, self.channels = self._negotiate()
        check_format(self.name, self.rate, self.channels)
        self._closed = False

    def blocks(self) -> Iterator[Block]:
        """What the device records, in blocks of at most 100 ms.

        Raises:
            EarmarkError: the device cannot be opened, or stopped delivering.
        """
        # Whole frames in the ring, so that what is lost is whole frames too.
        ring = Ring(_RING_SECONDS * self.rate * self.channels)
        stream = self._open(ring)
        try:
            yield from self._drain(ring, stream)
        finally:
            _close_or_abandon(stream, self.name)

    def close(self) -> None:
        """End `blocks()`."""
        self._closed = True

    def _drain(self, ring: Ring, stream: Any) -> Iterator[Block]:
        silent_polls = 0
        position = 0
        while not self._closed:
            active = stream.active  # asked first: what came before the end is still read
            _, samples, lost = ring.read(self.rate // 10 * self.channels)
            if len(samples):
                silent_polls = 0
                frames = samples.reshape(-1, self.channels)
                position += lost // self.channels
                yield Block(to_mono(self.name, frames, position), lost // self.channels)
                position += len(frames)
                continue
            # Polls, not the clock: it would also count the time that this process was suspended.
            silent_polls += 1
            if not active or silent_polls > _SILENT_POLLS:
                how = "the device is gone" if not active else "no sample came for 2 s"
                raise EarmarkError(
                    f"microphone '{self.name}' stopped delivering after {position} samples: {how}",
                    _PLUG_IN,
                )
            time.sleep(_POLL)

    def _open(self, ring: Ring) -> Any:
        def on_audio(frames: Any, _count: int, _time: Any, _status: Any) -> None:
            # Runs on PortAudio's thread, which loses audio if held up: copies, and nothing else.
            ring.write(frames.reshape(-1))

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


def _portaudio() -> ModuleType:
    """The sounddevice module; importing it initialises PortAudio and lists the devices."""
    try:
        import sounddevice  # noqa: PLC0415 (fails without libportaudio2, which only this needs)
    except OSError as error:
        raise EarmarkError(
            f"microphones need PortAudio, which is not installed ({error})",
            "Install it, e.g. with 'apt-get install libportaudio2'",
        ) from error
    module: ModuleType = sounddevice
    return module


def _close_or_abandon(stream: Any, name: str) -> None:
    """Close the stream; leave it behind if its sound server is frozen and would never answer."""
    closer = threading.Thread(target=stream.close, name="close microphone", daemon=True)
    closer.start()
    closer.join(timeout=1.0)
    if closer.is_alive():
        logger.warning("microphone '%s' does not answer: left open", name)
