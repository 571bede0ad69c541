"""The model card: what a model is, what it was made from, and what was measured of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge.encoder import GRAPHS, ModelSpec
from edge.scoring import Calibration
from export.gate import GateFigures, Window
from export.windowed import WINDOW

FORMS = ("torch", "fp32", "int8")
_TEMPLATE = """# Earmark encoder `{name}`

A causal convolutional speaker encoder with additive statistics, for streams at 16 kHz.

| | |
| --- | --- |
| precision | {precision} (head and segmenter: weights of {least_bits} bits or more, float32 sums) |
| parameters | {parameters:,} |
| files | {files} |
| embedding | {embedding} values |
| chunk, look-ahead | {chunk_ms} ms, {look_ahead_ms} ms |
| overlap, and speech once more | {afterthought_ms} ms later |
| front end | {front_end_hash}: {fbank} |
| licence | {licence} |
| training data | {training_data} |
| made by | commit {commit}, {packages} |

## Measured at export
On held-out speakers of the training side; `make eval` reports on the development split.

| crops of at most | EER % torch | fp32 ONNX | int8 ONNX | cosine of int8 with torch, mean (least) |
| --- | --- | --- | --- | --- |
{windows}

- fp32 ONNX, streamed, against torch in one shot: statistics {statistics_error:.1e} apart at most
- segmenter, in recordings of two who take turns: ROC-AUC of pairs of fifths of a second {one_voice}
  (torch, fp32, int8); its log-odds in int8 have a correlation of {correlation:.4f} with torch's
- a chunk on one thread takes {int8_ms:.2f} ms in int8, {fp32_ms:.2f} ms in fp32
- blocks of the trunk left in float32: {float_blocks}
- score calibration (offset, log seconds, likeness, likeness x log seconds, likeness x excess of the
  log norms; their usual sum, its slope over log seconds, least and greatest excess; most seconds of
  a side; bend of the likeness, from the cosine, 0, to its z, 1):
    - between recordings, nobody else enrolled {alone}
    - among many {among}; the usual cosine of strangers, and with how many others it is half of both
      {strangers}
    - within one {within}
    - of the resemblance of its voices: mean and deviation; of the cosines of strangers, and of one
      voice, offset, slope over log seconds, deviation; shift of the odds, offset and slope:
      {resemblance}

## Intended use and limits
Telling voices apart and recognising enrolled ones, on a device, with their owners' consent.
Embeddings are biometric data. Weakest on emotional and whispered speech, on stretches under a
second, and on overlapping voices.
"""


_WINDOWED = """# Earmark model `{name}`

The ordinary encoder {encoder}, which hears the last {window_ms} ms anew every {chunk_ms} ms.

| | |
| --- | --- |
| encoder | {encoder}, SHA-256 {digest} |
| licence and training data | those of the encoder |
| files | {files} |
| embedding | {embedding} values |
| labels come | {look_ahead_ms} ms later than the sound, in the middle of a window |
| speech and overlap | by the shipped encoder, beside it |
| made by | commit {commit}, {packages} |

- score calibration, on speakers held out of {corpora}, in the order of the shipped cards:
    - between recordings, nobody else enrolled {alone}
    - among many {among}; {strangers}
    - within one {within}
    - of the resemblance of its voices: {resemblance}
"""


def write_windowed_card(
    folder: Path, spec: ModelSpec, *, encoder: Path, corpora: str, origin: dict[str, Any]
) -> None:
    """Write `README.md` beside the graphs of a model that is an ordinary encoder."""
    text = _WINDOWED.format(
        **_common(folder, spec, origin),
        encoder=encoder.name,
        digest=sha256(encoder.read_bytes()).hexdigest(),
        window_ms=WINDOW * 10,
        corpora=corpora,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def write_card(
    folder: Path,
    spec: ModelSpec,
    *,
    parameters: int,
    gate: GateFigures,
    float_blocks: Sequence[int],
    least_bits: int,
    origin: dict[str, Any],
) -> None:
    """Write `README.md` and `figures.json` beside the graphs."""
    text = _TEMPLATE.format(
        **_common(folder, spec, origin),
        precision=spec.precision,
        parameters=parameters,
        afterthought_ms=spec.afterthought * spec.frames_per_record * 10,
        front_end_hash=spec.front_end_hash,
        fbank=", ".join(f"{key} {value}" for key, value in spec.fbank.items()),
        licence=spec.licence,
        training_data=spec.training_data,
        windows="\n".join(_row(window) for window in gate.windows),
        statistics_error=gate.statistics_error,
        one_voice=", ".join(f"{gate.one_voice.auc[form]:.4f}" for form in FORMS),
        correlation=gate.one_voice.correlation,
        int8_ms=gate.chunk_ms["int8"],
        fp32_ms=gate.chunk_ms["fp32"],
        least_bits=least_bits,
        float_blocks=", ".join(map(str, float_blocks)) or "none",
    )
    figures = asdict(gate) | {"float_blocks": list(float_blocks), "least_bits": least_bits}
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "figures.json").write_text(json.dumps(figures | origin, indent=2) + "\n")


def _common(folder: Path, spec: ModelSpec, origin: dict[str, Any]) -> dict[str, object]:
    """What both kinds of card tell."""
    sizes = [f"{name} {(folder / name).stat().st_size // 1000} kB" for name in GRAPHS]
    return {
        "name": spec.name,
        "files": ", ".join(sizes),
        "embedding": spec.embedding,
        "chunk_ms": spec.frames_per_chunk * 10,
        "look_ahead_ms": spec.look_ahead * 10,
        "commit": origin["commit"],
        "packages": ", ".join(f"{name} {version}" for name, version in origin["packages"].items()),
        "alone": _calibration(spec.across.alone),
        "among": _calibration(spec.across.among),
        "strangers": _values([spec.across.usual, spec.across.weight]),
        "within": _calibration(spec.calibration_within),
        "resemblance": "; ".join(map(_values, astuple(spec.resemblance))),
    }


def _calibration(calibration: Calibration) -> str:
    values = f"{_values(calibration.weights)}; {_values(calibration.norms)}"
    return f"{values}; {calibration.longest:g}; {calibration.bend:g}"


def _values(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _row(window: Window) -> str:
    rates = " | ".join(f"{window.eer[form]:.2f}" for form in FORMS)
    return (
        f"| {window.seconds:g} s | {rates} | {window.cosine_mean:.4f} ({window.cosine_min:.4f}) |"
    )
