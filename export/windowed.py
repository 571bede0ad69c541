"""Ordinary encoders in the runtime: those that hear whole utterances, here a window that slides.

Such an encoder has no statistics that add up, but its embeddings of a sliding window do: their sum
over any stretch of audio is a statistic of it, and their mean the voice. The frames graph keeps the
last window, and runs the whole encoder on it again at every chunk. A record is told of where the
middle of its window is.

Speech and overlap are told by the shipped encoder, which runs beside it. There is no network that
cuts segments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx.compose import add_prefix, merge_models
from onnx.parser import parse_model
from onnx.version_converter import convert_version

from edge.encoder import DEFAULT_MODEL, Model, ModelSpec
from edge.errors import EarmarkError
from edge.statistics import AROUND
from export.graphs import CHUNK
from export.metadata import model_spec
from train.encoder import EncoderConfig
from train.teacher import OnnxTeacher

WINDOW = 150  # fbank frames that the encoder hears at once
RECORD = 10  # fbank frames of a record of statistics
LATE = 6  # records by which the middle of a window is later than what the shipped encoder tells of

# The window before the encoder: as much of it as has been heard yet, each mel with mean zero.
_BEFORE = """
before (float[1,{chunk},{mels}] fbank, float[1,{kept},{mels}] past, float[1,1] heard)
    => (float[1,time,{mels}] normal, float[1,{chunk},{mels}] same,
        float[1,{kept},{mels}] next_past, float[1,1] next_heard)
<float[1] chunk = {{{chunk}}}, float[1] most = {{{window}}}, int64[1] end = {{{window}}},
 int64[1] old = {{{chunk}}}, int64[1] time_axis = {{1}},
 int64[1] first_axis = {{0}}>
{{
    same = Identity (fbank)
    all = Concat <axis = 1> (past, fbank)
    next_past = Slice (all, old, end, time_axis)
    sum = Add (heard, chunk)
    next_heard = Min (sum, most)
    unheard = Sub (most, next_heard)
    place = Cast <to = 7> (unheard)
    begin = Squeeze (place, first_axis)
    window = Slice (all, begin, end, time_axis)
    mels = Transpose <perm = [0, 2, 1]> (window)
    mean = GlobalAveragePool (mels)
    centred = Sub (mels, mean)
    normal = Transpose <perm = [0, 2, 1]> (centred)
}}"""

# Records of one window each: its embedding of unit length, and what the shipped encoder's records
# say of speech and overlap at the middle of the window.
_BEHIND = """
behind (float[1,{size}] embedding, float[1,{records},{shipped}] told, float[1,{late},3] later)
    => (float[1,{records},{values}] records, float[1,{late},3] next_later)
<float[1,{records},1] ones = {{{ones}}}, int64[1] first = {{0}}, int64[1] second = {{1}},
 int64[1] activity = {{-3}}, int64[1] width = {{{shipped}}}, int64[1] ready = {{{records}}},
 int64[1] length = {{{late_and_records}}}, int64[1] row = {{1}}, int64[1] column = {{2}},
 int64[3] shape = {{1, {records}, {size}}}>
{{
    counts = Slice (told, first, second, column)
    sums = Slice (told, activity, width, column)
    means = Div (sums, counts)
    waiting = Concat <axis = 1> (later, means)
    now = Slice (waiting, first, ready, row)
    next_later = Slice (waiting, ready, length, row)
    unit = LpNormalization <axis = 1, p = 2> (embedding)
    one = Unsqueeze (unit, row)
    units = Expand (one, shape)
    records = Concat <axis = 2> (ones, units, now)
}}"""

_HEAD = """
head (float[rows,{values}] statistics) => (float[rows,{size}] embedding)
<int64[1] begin = {{1}}, int64[1] end = {{{behind}}}, int64[1] axis = {{1}}>
{{
    embedding = Slice (statistics, begin, end, axis)
}}"""

# Any two parts of a segment are taken for one voice's.
_SEGMENTER = """
segmenter (float[1,tokens,{token}] tokens) => (float[1,tokens,tokens] log_odds)
<float nothing = {{0}}, float one = {{1}}>
{{
    turned = Transpose <perm = [0, 2, 1]> (tokens)
    products = MatMul (tokens, turned)
    zeros = Mul (products, nothing)
    log_odds = Add (zeros, one)
}}"""


def write_windowed(encoder: Path, folder: Path, name: str) -> ModelSpec:
    """Write the three graphs of a model, without metadata, around an ordinary encoder.

    Args:
        encoder: a graph that `train.teacher.OnnxTeacher` takes.
        folder: for the graphs.
        name: of the model.

    Returns:
        Its specification, not yet calibrated.

    Raises:
        EarmarkError: the encoder is no such graph.
    """
    size, shipped = OnnxTeacher(encoder).size, Model.load()
    activity = add_prefix(onnx.load(DEFAULT_MODEL / "frames.onnx"), "shipped/")
    opset = next(one.version for one in activity.opset_import if not one.domain)
    version = f'<ir_version: {activity.ir_version}, opset_import: ["": {opset}]>'
    records = CHUNK // RECORD
    values = {
        "chunk": CHUNK,
        "mels": shipped.fbank_options.num_mels,
        "kept": WINDOW - CHUNK,
        "window": WINDOW,
        "records": records,
        "ones": ", ".join("1" * records),
        "late": LATE,
        "late_and_records": LATE + records,
        "shipped": shipped.statistics_size,
        "size": size,
        "values": 1 + size + 3,
        "behind": 1 + size,
        "token": len(AROUND) * size,
    }
    before, behind, head, segmenter = (
        parse_model(version + text.format(**values))
        for text in (_BEFORE, _BEHIND, _HEAD, _SEGMENTER)
    )
    try:
        network = add_prefix(convert_version(onnx.load(encoder), opset), "encoder/")
        network.ir_version = activity.ir_version
        frames = _joined(before, network, activity, behind)
    except Exception as error:  # onnx raises whatever it meets
        raise EarmarkError(
            f"{encoder} cannot be put behind a window: {error}",
            f"Export it to ONNX again, in opset {opset}",
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    for what, graph in (("frames", frames), ("head", head), ("segmenter", segmenter)):
        onnx.save(graph, folder / f"{what}.onnx")
    # As the runtime sees it: one encoder frame a record.
    shape = EncoderConfig(
        stride=RECORD,
        frames_per_record=RECORD,
        look_ahead=shipped.spec.look_ahead + LATE * RECORD,
        afterthought=shipped.spec.afterthought,
        embedding=size,
    )
    whose = f"that of {encoder.name}"
    return model_spec(shape, name, whose, whose, "float32")


def _joined(before: Any, network: Any, activity: Any, behind: Any) -> Any:
    """The frames graph of its parts: the window, the encoder, the shipped one, and the records."""
    constants = {tensor.name for tensor in network.graph.initializer}
    (heard,) = (value for value in network.graph.input if value.name not in constants)
    said = network.graph.output[0].name
    del network.graph.input[:]
    network.graph.input.append(heard)
    frames = merge_models(before, network, [("normal", heard.name)])
    frames = merge_models(frames, activity, [("same", "shipped/fbank")])
    frames = merge_models(frames, behind, [(said, "embedding"), ("shipped/records", "told")])
    outputs = {value.name: value for value in frames.graph.output}
    del frames.graph.output[:]
    frames.graph.output.append(outputs["records"])
    frames.graph.output.extend(outputs[_next(state.name)] for state in frames.graph.input[1:])
    return frames


def _next(state: str) -> str:
    """The output that is the new value of a state."""
    prefix, slash, name = state.rpartition("/")
    return f"{prefix}{slash}next_{name}"
