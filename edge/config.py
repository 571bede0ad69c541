"""Settings of `earmark run`: dataclass defaults that a small YAML file and options override."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from edge.config_file import load_config
from edge.endpoints import DEFAULT_ENDPOINT, loopback_address
from edge.errors import EarmarkError
from edge.log import Level, Style
from edge.pipeline import PipelineConfig

SOURCE_KINDS = ("mic", "file", "satellite")  # keys of a source, of which one at most is given
RAW = ("rate", "channels", "format")  # further keys, of raw PCM on standard input alone
SPEED = ("fast",)  # of any other file alone
LONGEST_STREAM = 200  # bytes: its state is a file of that name, and some more beside it


@dataclass(frozen=True)
class SourceConfig:
    """Where the audio comes from: a microphone, unless `file` or `satellite` is given."""

    mic: str | int | None = None  # name, part, pattern or number; none: the default
    file: str | None = None  # WAV, FLAC or Ogg; "-" is raw PCM on standard input
    satellite: str | None = None  # endpoint at which another machine's sound is taken
    fast: bool = False  # a file as fast as possible instead of in real time
    rate: int = 16000  # Hz, of raw PCM
    channels: int = 1  # of raw PCM
    format: Literal["s16le", "f32le"] = "s16le"  # of raw PCM

    def __post_init__(self) -> None:
        _check_texts(self, "source.")
        given = {kind: getattr(self, kind) for kind in SOURCE_KINDS}
        kinds = [
            f"source.{kind} is '{value}'" for kind, value in given.items() if value is not None
        ]
        if len(kinds) > 1:
            raise EarmarkError(f"{' and '.join(kinds)}, one source expected", "Leave one of them")
        _require_positive("source.rate", self.rate)
        _require_positive("source.channels", self.channels)

    @property
    def further(self) -> tuple[str, ...]:
        """The keys, beside its kind, that such a source looks at."""
        if self.file is None:
            return ()
        return RAW if self.file == "-" else SPEED

    def check_further(self, stream: str, given: Collection[str]) -> None:
        """Refuse keys of other sources: `given` ones, and those that are not at their default.

        Raises:
            EarmarkError: naming the key, and the sources that look at it.
        """
        for key in RAW + SPEED:
            changed = key in given or getattr(self, key) != getattr(SourceConfig, key)
            if changed and key not in self.further:
                kind = "raw PCM on standard input" if key in RAW else "a file"
                raise EarmarkError(
                    f"{key} is of {kind} alone, and the source of '{stream}' is another",
                    f"Leave {key} out, or give that source",
                )


@dataclass(frozen=True)
class Config:
    """Everything that `earmark run` can be told."""

    stream: str = "mic"  # the first part of every topic
    endpoint: str = DEFAULT_ENDPOINT  # where events are published
    msgpack: str | None = None  # endpoint of the same events as MessagePack; none: JSON alone
    journal: str | None = None  # folder of the last events; none: the endpoint's, of the user
    curve: str | None = (
        None  # file of keys; none: nothing is encrypted, and only this machine hears
    )
    source: SourceConfig = field(default_factory=SourceConfig)
    sources: dict[str, SourceConfig] = field(default_factory=dict)  # instead: by name of stream
    model: str | None = None  # small, the default; or tiny; or the folder of an encoder
    calibration: str | None = None  # of earmark calibrate; none: the user's own, if there is one
    store: str | None = None  # file of the enrolled speakers; none: the user's own
    state: str | None = None  # folder where voices without a name outlive a restart; none: nowhere
    key: str | None = None  # key file of an encrypted store; none: it is not encrypted
    health_seconds: float = 5.0  # from one heartbeat to the next
    log: Style = "auto"  # plain lines, or JSON where systemd's journal reads; or either always
    log_level: Level = "info"  # the least that is told
    metrics: str | None = None  # ADDRESS:PORT on loopback, for Prometheus; none: not served
    wait_for_subscriber: bool = False  # hear nothing before somebody listens
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    def __post_init__(self) -> None:
        _check_stream("stream", self.stream)
        for name in self.sources:
            _check_stream("a key of sources", name)
        _check_texts(self, "")
        if self.sources and self.source != SourceConfig():
            raise EarmarkError(
                "expected 'source' or 'sources', got both", "Move the one into the others"
            )
        if [source.file for source in self.sources.values()].count("-") > 1:
            raise EarmarkError(
                "expected standard input as one source at most, got several", "Use named files"
            )
        _require_positive("health_seconds", self.health_seconds)
        if self.metrics is not None:
            loopback_address(self.metrics)

    @property
    def streams(self) -> dict[str, SourceConfig]:
        """Every stream and its source: `sources`, or `stream` and `source`."""
        return self.sources or {self.stream: self.source}


def load(path: Path | None) -> Config:
    """The settings in a YAML file, or the defaults.

    Raises:
        EarmarkError: the file cannot be read, names an unknown key or holds a bad value.
    """
    return load_config(Config, path)


def _check_texts(settings: Config | SourceConfig, prefix: str) -> None:
    """An empty text is a mistake, such as a shell's variable that is not set, and no default.

    One with a NUL names no file.
    """
    for key in fields(settings):
        value = getattr(settings, key.name)
        if isinstance(value, str) and (not value or "\0" in value):
            what = "has a NUL in it" if value else "is empty"
            raise EarmarkError(
                f"{prefix}{key.name} {what}, expected a value", "Give one, or leave it out"
            )


def _check_stream(key: str, name: str) -> None:
    if not re.fullmatch(r"[\w.-]+", name):
        raise EarmarkError(
            f"{key} is '{name}', expected letters, digits, '_', '.' and '-'",
            "Choose a plain name such as 'mic' or 'kitchen'",
        )
    if len(name.encode()) > LONGEST_STREAM:
        raise EarmarkError(
            f"{key} has {len(name.encode())} bytes, expected {LONGEST_STREAM} at most",
            "Choose a short name such as 'mic' or 'kitchen'",
        )


def _require_positive(key: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise EarmarkError(f"{key} is {value}, expected a number above 0", "Correct the value")
