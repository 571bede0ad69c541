"""The microphones of this machine, as PortAudio lists them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from types import ModuleType

from edge.errors import EarmarkError


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
    sounddevice = portaudio()
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
    """The device with this index, this name, part of a name or pattern; the default for None.

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
        found = found or [d for d in devices if fnmatch.fnmatchcase(d.name.casefold(), name)]
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


def portaudio() -> ModuleType:
    """The sounddevice module; importing it initialises PortAudio and lists the devices.

    Raises:
        EarmarkError: PortAudio is not installed.
    """
    try:
        import sounddevice  # noqa: PLC0415 (fails without libportaudio2, which only this needs)
    except OSError as error:
        raise EarmarkError(
            f"microphones need PortAudio, which is not installed ({error})",
            "Install it, e.g. with 'apt-get install libportaudio2'",
        ) from error
    module: ModuleType = sounddevice
    return module


def look_again() -> None:
    """Let PortAudio list the devices anew; it closes every stream of this process.

    Raises:
        EarmarkError: PortAudio is not installed.
    """
    sounddevice = portaudio()
    sounddevice._terminate()
    sounddevice._initialize()
