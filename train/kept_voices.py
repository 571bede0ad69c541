"""Changed voices of each utterance whose targets are kept.

On a CPU a teacher hears a crop in many times what the student takes for it. So a few changed voices
of each utterance are heard by the teachers once, when they first come up; each time after that
another part of it is drawn, and augmented otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.whole_file import replacing
from train.config import TrainConfig
from train.teacher import OnlineTarget
from train.voices import Voice, draw_voice
from train.waveforms import Waveforms, alone_in, samples_of

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class KeptVoice:
    """A part of an utterance in a changed voice, and its target (size,); NaN unknown."""

    voice: Voice
    audio: Audio
    target: NDArray[np.float32]

    def random_crop(self, count: int, random: Generator) -> Audio:
        """`count` samples from a random place."""
        start = int(random.integers(len(self.audio) - count + 1))
        return self.audio[start : start + count]


class KeptVoices:
    """Voice n of utterance i depends on i, n and the settings alone.

    Processes that are forked share what is kept, and so do runs.
    """

    def __init__(
        self,
        cache: Path,
        config: TrainConfig,
        waveforms: Waveforms,
        online: OnlineTarget,
        files: Sequence[Path],
    ) -> None:
        """`cache`: the folder in which the targets are kept; `online` gives them, of `files`."""
        voices, self._count = config.augment.voices, config.data.kept_voices
        speed = voices.speed_probability
        speed /= speed + voices.shift_probability
        self._config = replace(voices, speed_probability=speed, shift_probability=1.0 - speed)
        self._samples = samples_of(int(config.data.crop_seconds[1] * 100))
        self._waveforms = waveforms
        self._online: OnlineTarget | None = online
        data = (config.data.teachers, config.data.lists, config.data.whitened_targets, online.size)
        what = [str((voices, self._samples, self._count, data)), waveforms.fingerprint()]
        what += [sha256(file.read_bytes()).hexdigest() for file in files]
        path = cache / f"voices-{sha256(' '.join(what).encode()).hexdigest()[:16]}.npy"
        with alone_in(cache):
            if not path.is_file():
                shape = (len(waveforms), self._count, online.size)
                unknown = np.full(shape, np.nan, dtype=np.float32)
                with replacing(path) as partial, partial.open("wb") as file:
                    np.save(file, unknown)
        self._targets = np.load(path, mmap_mode="r+")

    def draw(self, index: int, random: Generator) -> KeptVoice:
        """One of the changed voices of a file of the waveforms."""
        number = int(random.integers(self._count))
        own = np.random.default_rng([index, number])
        voice = draw_voice(self._config, own, 1.0)
        assert voice is not None  # its chance is one
        audio = voice.random_crop(self._waveforms, index, self._samples, own)
        target = self._targets[index, number]
        # A row that a kill left unfinished has values that are no numbers yet.
        if self._online and not np.isfinite(target).all():
            target[:] = self._online(audio)
        return KeptVoice(voice, audio, np.array(target))

    def untaught(self) -> KeptVoices:
        """The same voices, but those that no teacher has heard so far stay so."""
        voices = copy(self)
        voices._online = None
        return voices
