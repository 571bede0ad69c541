"""Stores of made-up voices, for tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from edge.encoder import Model
from edge.statistics import Profile, Sums
from edge.store import Store

__all__ = ["SIZE", "Profile", "Store", "bytes_on_disk", "profile", "stub", "sums"]

SIZE = 50


def stub(identity: str = "one") -> Model:
    """All that a store wants of a model."""
    return cast(Model, SimpleNamespace(id=identity, statistics_size=SIZE))


def sums(seed: int) -> Sums:
    """Statistics (SIZE,) like no other seed's."""
    values = np.random.default_rng(seed).normal(size=SIZE)
    values[0] = 1 + seed
    return values


def profile(name: str, seed: int = 1) -> Profile:
    """A speaker with those statistics."""
    return Profile(name, sums(seed))


def bytes_on_disk(path: Path) -> bytes:
    """All that is in a store's file, and in those that SQLite keeps beside it."""
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
