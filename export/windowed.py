"""Ordinary encoders in the runtime: those that hear whole utterances, here a window that slides.

Such an encoder has no statistics that add up, but its embeddings of a sliding window do: their sum
over any stretch of audio is a statistic of it, and their mean the voice. The frames graph keeps the
last window, and runs the whole encoder on it again at every chunk. A record is told of where the
middle of its window is.

There are no outputs for speech and overlap, so that WebRTC's detector alone tells speech; nor is
there a network that cuts segments.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import onnx
from onnx.compose import add_prefix, merge_models
from onnx.parser import parse_model

from edge._native import FbankOptions
from edge.encoder import ModelSpec
from edge.statistics import AROUND
from export.graphs import CHUNK
from export.metadata import model_spec
from train.encoder import EncoderConfig
from train.teacher import OnnxTeacher

WINDOW = 150  # fbank frames that the encoder hears at once
RECORD = 10  # fbank frames of a record of statistics

# The window before the encoder: as much of it as has been heard yet, each mel with mean zero.
_BEFORE = """
before (float[1,{chunk},{mels}] fbank, float[1,{kept},{mels}] past, float[1] heard)
    => (float[1,time,{mels}] normal, float[1,{kept},{mels}] next_past, float[1] next_heard)
<float[1] chunk = {{{chunk}}}, float[1] most = {{{window}}}, int64[1] end = {{{window}}},
 int64[1] old = {{{chunk}}}, int64[1] time_axis = {{1}}>
{{
    all = Concat <axis = 1> (past, fbank)
    next_past = Slice (all, old, end, time_axis)
    sum = Add (heard, chunk)
    next_heard = Min (sum, most)
    unheard = Sub (most, next_heard)
    begin = Cast <to = 7> (unheard)
    window = Slice (all, begin, end, time_axis)
    mels = Transpose <perm = [0, 2, 1]> (window)
    mean = GlobalAveragePool (mels)
    centred = Sub (mels, mean)
    normal = Transpose <perm = [0, 2, 1]> (centred)
}}"""

# Records behind the encoder: one window each, its embedding of unit length; speech in it, speech
# once more, and no overlap.
_BEHIND = """
behind (float[1,{size}] embedding) => (float[1,{records},{values}] records)
<float[1,1] one = {{1}}, float[1,3] activity = {{1, 1, 0}}, int64[1] second = {{1}},
 int64[3] shape = {{1, {records}, {values}}}>
{{
    unit = LpNormalization <axis = 1, p = 2> (embedding)
    values = Concat <axis = 1> (one, unit, activity)
    record = Unsqueeze (values, second)
    records = Expand (record, shape)
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
    size = OnnxTeacher(encoder).size
    network = add_prefix(onnx.load(encoder), "encoder/")
    opset = next(o.version for o in network.opset_import if o.domain in ("", "ai.onnx"))
    version = f'<ir_version: {network.ir_version}, opset_import: ["": {opset}]>'
    values = {
        "chunk": CHUNK,
        "mels": FbankOptions().num_mels,
        "kept": WINDOW - CHUNK,
        "window": WINDOW,
        "records": CHUNK // RECORD,
        "size": size,
        "values": 1 + size + 3,
        "behind": 1 + size,
        "token": len(AROUND) * size,
    }
    before, behind, head, segmenter = (
        parse_model(version + text.format(**values))
        for text in (_BEFORE, _BEHIND, _HEAD, _SEGMENTER)
    )
    (heard,), (said,) = network.graph.input, network.graph.output
    frames = merge_models(before, network, [("normal", heard.name)])
    frames = merge_models(frames, behind, [(said.name, "embedding")])
    outputs = {value.name: value for value in frames.graph.output}
    del frames.graph.output[:]
    frames.graph.output.extend(outputs[name] for name in ("records", "next_past", "next_heard"))
    for what, graph in (("frames", frames), ("head", head), ("segmenter", segmenter)):
        onnx.save(graph, folder / f"{what}.onnx")
    # As the runtime sees it: one encoder frame a record, told of when its window is half over.
    shape = EncoderConfig(
        stride=RECORD,
        frames_per_record=RECORD,
        look_ahead=(WINDOW - CHUNK) // 2,
        afterthought=1,
        embedding=size,
    )
    spec = model_spec(shape, name, f"that of {encoder.name}", "float32")
    return msgspec.structs.replace(spec, licence=f"that of {encoder.name}")
