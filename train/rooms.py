"""Simulated rooms: responses from a mouth to a microphone somewhere in a shoe box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyroomacoustics
from numpy.typing import NDArray
from rich.progress import track

from edge.front_end import SAMPLE_RATE
from edge.whole_file import replacing
from train.bounds import Count, Positive, check_ranges
from train.waveforms import Waveforms, alone_in

SMALLEST, LARGEST = (2.5, 2.5, 2.3), (9.0, 7.0, 3.5)  # metres
WALL = 0.3  # metres that mouth and microphone keep from the walls
REFLECTIONS = 3  # followed exactly; later ones by rays
RAYS = 3000


@dataclass(frozen=True)
class RoomConfig:
    """How many rooms there are, and how long they ring."""

    count: Count = 200
    decay_seconds: tuple[Positive, Positive] = (0.1, 0.7)  # T60

    def __post_init__(self) -> None:
        check_ranges(self)


def simulate_rooms(config: RoomConfig, cache: Path) -> Waveforms:
    """The responses, their peak at full scale; made on first use, the same every time."""
    low, high = config.decay_seconds
    path = cache / f"rooms-{config.count}-{low:g}-{high:g}.npz"
    with alone_in(cache):
        if not path.is_file():
            numbers = track(range(config.count), description="building rooms")
            responses = [_pcm(_responses(i, config, mouths=1)[0]) for i in numbers]
            offsets = np.concatenate([[0], np.cumsum([len(r) for r in responses])])
            samples = np.concatenate(responses)
            with replacing(path) as partial:
                np.savez(partial, samples=samples, offsets=offsets.astype(np.int64))
    stored = np.load(path)
    return Waveforms(stored["samples"], stored["offsets"])


def seat_responses(seats: int, seed: int) -> list[NDArray[np.float32]]:
    """Responses from so many mouths in one random room to its one microphone."""
    return [response.astype(np.float32) for response in _responses(seed, RoomConfig(), seats)]


def _responses(seed: int, config: RoomConfig, mouths: int) -> list[NDArray[np.float64]]:
    """Image sources, then ray tracing, of a random room with random places in it."""
    random = np.random.default_rng(seed)
    pyroomacoustics.random.seed(seed)
    size = random.uniform(SMALLEST, LARGEST)
    decay = random.uniform(*config.decay_seconds)
    absorption, _ = pyroomacoustics.inverse_sabine(max(decay, _shortest_decay(size)), size)
    room = pyroomacoustics.ShoeBox(
        size,
        fs=SAMPLE_RATE,
        materials=pyroomacoustics.Material(absorption, 0.3),
        max_order=REFLECTIONS,
        ray_tracing=True,
        air_absorption=True,
    )
    room.set_ray_tracing(n_rays=RAYS)
    for _ in range(mouths):
        room.add_source(random.uniform(WALL, size - WALL))
    room.add_microphone(random.uniform(WALL, size - WALL))
    room.compute_rir()
    return list(room.rir[0])


def _pcm(response: NDArray[np.float64]) -> NDArray[np.int16]:
    """Its peak at full scale."""
    scaled: NDArray[np.int16] = np.rint(response * (32767.0 / np.abs(response).max())).astype(
        np.int16
    )
    return scaled


def _shortest_decay(size: NDArray[np.floating]) -> float:
    """Just above Sabine's decay of a room whose walls absorb everything."""
    volume = float(np.prod(size))
    surface = 2.0 * float(size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    return float(1.01 * 24.0 * np.log(10.0) / 343.0 * volume / surface)
