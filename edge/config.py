"""Settings of `earmark run`: dataclass defaults that a small YAML file and options override."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge.config_file import load_config
from edge.endpoints import DEFAULT_ENDPOINT
from edge.errors import EarmarkError
from edge.pipeline import PipelineConfig


@dataclass(frozen=True)
class SourceConfig:
    """Where the audio comes from: a microphone, unless `file` is given."""

    mic: str | int | None = None  # name, part of it, or number; none: the system's default
    file: str | None = None  # WAV, FLAC or Ogg; "-" is raw PCM on standard input
    fast: bool = False  # a file as fast as possible instead of in real time
    rate: int = 16000  # Hz, of raw PCM
    channels: int = 1  # of raw PCM
    format: Literal["s16le", "f32le"] = "s16le"  # of raw PCM

    def __post_init__(self) -> None:
        if self.mic is not None and self.file is not None:
            raise EarmarkError(
                f"source.mic is '{self.mic}' and source.file is '{self.file}', one source expected",
                "Remove one of the two",
            )
        _require_positive("source.rate", self.rate)
        _require_positive("source.channels", self.channels)


@dataclass(frozen=True)
class Config:
    """Everything that `earmark run` can be told."""

    stream: str = "mic"  # the first part of every topic
    endpoint: str = DEFAULT_ENDPOINT  # where events are published
    journal: str | None = None  # folder of the last events; none: the endpoint's, of the user
    curve: str | None = (
        None  # file of keys; none: nothing is encrypted, and only this machine hears
    )
    source: SourceConfig = field(default_factory=SourceConfig)
    model: str | None = None  # folder of the encoder; none: the one that ships with Earmark
    store: str | None = None  # file of the enrolled speakers; none: the user's own
    key: str | None = None  # key file of an encrypted store; none: it is not encrypted
    health_seconds: float = 5.0  # from one heartbeat to the next
    wait_for_subscriber: bool = False  # hear nothing before somebody listens
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.stream):
            raise EarmarkError(
                f"stream is '{self.stream}', expected letters, digits, '_', '.' and '-'",
                "Choose a plain name such as 'mic' or 'kitchen'",
            )
        _require_positive("health_seconds", self.health_seconds)


def load(path: Path | None) -> Config:
    """The settings in a YAML file, or the defaults.

    Raises:
        EarmarkError: the file cannot be read, names an unknown key or holds a bad value.
    """
    return load_config(Config, path)


def _require_positive(key: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise EarmarkError(f"{key} is {value}, expected a number above 0", "Correct the value")
