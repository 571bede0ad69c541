"""Which settings a running daemon takes over, and which wait for its restart. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from edge.config import Config

LIVE = ("health_seconds", "log", "log_level", "pipeline")
FIXED = "pipeline.gate.detector"  # it hears speech already, with marks of its own


class Reloaded(NamedTuple):
    """The settings to go on with, those that are new, and those that need a restart."""

    config: Config
    taken: list[str]
    left: list[str]


def reloaded(now: Config, wanted: Config) -> Reloaded:
    """What of the wanted settings can be had without a restart."""
    names = list(_differences(dataclasses.asdict(now), dataclasses.asdict(wanted)))
    taken = [name for name in names if name.split(".")[0] in LIVE and name != FIXED]
    gate = dataclasses.replace(wanted.pipeline.gate, detector=now.pipeline.gate.detector)
    live = {name: getattr(wanted, name) for name in LIVE}
    live["pipeline"] = dataclasses.replace(wanted.pipeline, gate=gate)
    config = dataclasses.replace(now, **live)
    return Reloaded(config, taken, [name for name in names if name not in taken])


def _differences(now: dict[str, Any], wanted: dict[str, Any], within: str = "") -> Iterator[str]:
    """Dotted names of the values that differ."""
    for key in now | wanted:
        old, new = now.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{within}{key}.")
        elif old != new:
            yield f"{within}{key}"
