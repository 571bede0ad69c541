"""Stores of made-up voices, for tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from edge.encoder import Model
from edge.statistics import Profile, Sums
from edge.store import Store

__all__ = ["SIZE", "Profile", "Store", "profile", "stub", "sums"]

SIZE = 50


def stub(identity: str = "one", size: int = SIZE) -> Model:
    """All that a store wants of a model."""
    return cast(Model, SimpleNamespace(id=identity, statistics_size=size))


def sums(seed: int) -> Sums:
    """Statistics (SIZE,) like no other seed's."""
    values = np.random.default_rng(seed).normal(size=SIZE)
    values[0] = 1 + seed
    return values


def profile(name: str, seed: int = 1) -> Profile:
    """A speaker with those statistics."""
    return Profile(name, sums(seed))
