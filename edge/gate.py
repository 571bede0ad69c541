"""The speech gate: WebRTC's voice activity detector, smoothed, with a hangover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from edge.front_end import SAMPLE_RATE
from edge.ranges import check_range

FRAME = 320  # samples; WebRTC takes 10, 20 or 30 ms


@dataclass(frozen=True)
class GateConfig:
    """What is taken for speech, how willingly the gate opens, and how long it stays open."""

    detector: Literal["neural", "webrtc", "both"] = "neural"  # neural: the encoder's own
    speech_probability: float = 0.5  # of the encoder's, from which it hears speech
    # Of WebRTC's detector alone:
    aggressiveness: int = 2  # 0 (opens readily) to 3
    open_frames: int = 3  # frames of speech in a row that open the gate
    hangover_frames: int = 10  # frames without speech before it closes

    def __post_init__(self) -> None:
        check_range("gate.speech_probability", self.speech_probability, 0, 1)
        check_range("gate.aggressiveness", self.aggressiveness, 0, 3)
        check_range("gate.open_frames", self.open_frames, 1)
        check_range("gate.hangover_frames", self.hangover_frames, 1)


class Gate:
    """Marks every 20 ms frame as speech or not, whatever the block sizes."""

    def __init__(self, config: GateConfig) -> None:
        self.config = config
        self._vad = webrtcvad.Vad(config.aggressiveness)
        self._pending = np.empty(0, dtype=np.int16)
        self._run = 0  # frames in a row that contradict the gate's position
        self.is_open = False

    def reconfigure(self, config: GateConfig) -> None:
        """Other settings from the next frame on."""
        self.config = config
        self._vad.set_mode(config.aggressiveness)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Marks (frames,) of all frames that are complete; samples (n,) are 16 kHz in [-1, 1]."""
        pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
        pcm = np.concatenate([self._pending, pcm])
        count = len(pcm) // FRAME
        self._pending = pcm[count * FRAME :]
        frames = pcm[: count * FRAME].reshape(count, FRAME)
        return np.array([self._step(frame.tobytes()) for frame in frames], dtype=bool)

    def _step(self, frame: bytes) -> bool:
        contradicts = self._vad.is_speech(frame, SAMPLE_RATE) != self.is_open
        self._run = self._run + 1 if contradicts else 0
        patience = self.config.hangover_frames if self.is_open else self.config.open_frames
        if self._run >= patience:
            self.is_open = not self.is_open
            self._run = 0
        return self.is_open
