"""The gate that every model must pass: torch, float ONNX and int8 ONNX on held-out speakers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table

from edge.encoder import Model
from export.one_voice import OneVoice, measure_one_voice
from export.parity import statistics_error, stream_embedder, torch_embedder
from train.encoder import Encoder
from train.metrics import all_pairs, equal_error_rate, min_dcf
from train.trials import centre_crop

Audio = NDArray[np.float32]

WINDOWS = (8.0, 3.0, 1.5)  # seconds, at most
STATISTICS_RECORDINGS = 40
MAX_STATISTICS_ERROR = 1e-4  # of float ONNX from torch, relative to the largest of a record
MIN_INT8_COSINE = 0.99  # of int8 embeddings with torch's, mean over the recordings
MIN_INT8_CORRELATION = 0.99  # of the int8 segmenter's log-odds with torch's
MAX_EER_LOSS = 0.1  # of int8 from torch, % absolute; or one pair of a speaker, if that is more
ROUNDING = 1e-9  # %; a difference of two EERs may be so far from one pair


@dataclass(frozen=True)
class Window:
    """Agreement and errors on centre crops of one length; EER in percent, by form."""

    seconds: float
    cosine_mean: float  # of int8 embeddings with torch's
    cosine_min: float
    eer: dict[str, float]
    min_dcf: dict[str, float]
    pairs: int  # of one speaker

    @property
    def max_eer_loss(self) -> float:
        """The loss of int8 that may be chance, % absolute."""
        return max(MAX_EER_LOSS, 100.0 / self.pairs)


@dataclass(frozen=True)
class GateFigures:
    """Everything that the gate decides by."""

    statistics_error: float  # of float ONNX from torch
    windows: list[Window]
    one_voice: OneVoice  # by the segmenter
    chunk_ms: dict[str, float]  # one chunk of audio through the frames graph, by form

    def failures(self) -> list[str]:
        """Reasons to refuse the export; empty when it may ship."""
        reasons = self.int8_hurts()
        if not self.statistics_error <= MAX_STATISTICS_ERROR:
            reasons.append(
                f"fp32 statistics differ by {self.statistics_error:.1e} from torch, "
                f"at most {MAX_STATISTICS_ERROR:.0e} expected"
            )
        if not self.chunk_ms["int8"] <= self.chunk_ms["fp32"]:
            reasons.append(
                f"int8 takes {self.chunk_ms['int8']:.2f} ms a chunk, "
                f"fp32 {self.chunk_ms['fp32']:.2f} ms: expected to be faster"
            )
        return reasons

    def int8_hurts(self) -> list[str]:
        """The reasons among them that keeping more of the graph in float can remove."""
        reasons = []
        for window in self.windows:
            if not window.cosine_mean >= MIN_INT8_COSINE:
                reasons.append(
                    f"int8 embeddings of {window.seconds:g} s agree with torch at cosine "
                    f"{window.cosine_mean:.3f}, at least {MIN_INT8_COSINE} expected"
                )
            loss = window.eer["int8"] - window.eer["torch"]
            if not loss <= window.max_eer_loss + ROUNDING:
                reasons.append(
                    f"int8 loses {loss:.2f} % EER at {window.seconds:g} s, "
                    f"at most {window.max_eer_loss:.2g} expected"
                )
        if not self.one_voice.correlation >= MIN_INT8_CORRELATION:
            reasons.append(
                "int8 log-odds of the segmenter agree with torch's at correlation "
                f"{self.one_voice.correlation:.3f}, at least {MIN_INT8_CORRELATION} expected"
            )
        return reasons

    def table(self) -> Table:
        """The figures for people."""
        forms = list(self.chunk_ms)
        table = Table("held-out crops", "int8 cosine (least)", title="EER % (minDCF)")
        for form in ("torch", *forms):
            table.add_column(form, justify="right")
        for w in self.windows:
            cells = [f"{w.eer[f]:.2f} ({w.min_dcf[f]:.3f})" for f in ("torch", *forms)]
            cosines = f"{w.cosine_mean:.4f} ({w.cosine_min:.4f})"
            table.add_row(f"{w.seconds:g} s at most", cosines, *cells)
        pairs = self.one_voice
        areas = [f"{pairs.auc[form]:.4f}" for form in ("torch", *forms)]
        agreement = f"{pairs.correlation:.4f} (correlation)"
        table.add_row("segmenter, ROC-AUC of pairs", agreement, *areas)
        times = [f"{self.chunk_ms[form]:.2f} ms" for form in forms]
        table.add_row("time a chunk", "", "", *times)
        return table


def measure(
    encoder: Encoder, fp32: Model, int8: Model, audios: Sequence[Audio], speakers: Sequence[str]
) -> GateFigures:
    """Compare torch in one shot with both exported forms, streamed, on recordings at 16 kHz."""
    forms = {
        "torch": torch_embedder(encoder, fp32),
        "fp32": stream_embedder(fp32),
        "int8": stream_embedder(int8),
    }
    windows = []
    for seconds in track(WINDOWS, description="gate"):
        crops = [centre_crop(audio, seconds) for audio in audios]
        rows = {form: np.stack([embed(c) for c in crops]) for form, embed in forms.items()}
        trials = {form: all_pairs(embeddings, speakers) for form, embeddings in rows.items()}
        cosines = np.sum(rows["torch"] * rows["int8"], axis=1)
        windows.append(
            Window(
                seconds=seconds,
                cosine_mean=float(cosines.mean()),
                cosine_min=float(cosines.min()),
                eer={form: 100.0 * equal_error_rate(*trial) for form, trial in trials.items()},
                min_dcf={form: min_dcf(*trial) for form, trial in trials.items()},
                pairs=int(trials["torch"][1].sum()),
            )
        )
    return GateFigures(
        statistics_error(encoder, fp32, audios[:STATISTICS_RECORDINGS]),
        windows,
        measure_one_voice(encoder, fp32, int8, audios, speakers),
        chunk_milliseconds({"fp32": fp32, "int8": int8}),
    )


def chunk_milliseconds(models: dict[str, Model], rounds: int = 300) -> dict[str, float]:
    """Least time of one chunk through each frames graph, taken in turns, on one thread."""
    best = dict.fromkeys(models, float("inf"))
    streams = {form: model.frame_stream() for form, model in models.items()}
    for _ in range(rounds):
        for form, model in models.items():
            chunk = np.zeros(
                (model.spec.frames_per_chunk, model.fbank_options.num_mels), dtype=np.float32
            )
            start = time.perf_counter()
            streams[form].push(chunk)
            best[form] = min(best[form], 1000.0 * (time.perf_counter() - start))
    return best
