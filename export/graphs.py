"""torch to ONNX: batch normalisation folded away, two graphs written."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from train.encoder import CausalDepthwiseNorm, Encoder, FramesGraph, HeadGraph, PointwiseNorm

OPSET = 17
CHUNK = 20  # fbank frames that the runtime feeds at once: 200 ms


def folded(encoder: Encoder) -> Encoder:
    """A copy in evaluation mode whose frame normalisations are part of the maps before them."""
    encoder = copy.deepcopy(encoder).eval()
    for module in list(encoder.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, PointwiseNorm):
                setattr(module, name, fuse_linear_bn_eval(child.linear, child.norm))
        if isinstance(module, CausalDepthwiseNorm):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            setattr(module, "norm", nn.Identity())  # noqa: B010 (the attribute is declared otherwise)
    return encoder


def export_graphs(encoder: Encoder, folder: Path) -> None:
    """Write `frames.onnx` and `head.onnx` in float32 into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = folded(encoder)
    fbank = torch.zeros(1, CHUNK, encoder.config.num_mels)
    statistics = torch.ones(1, 1 + 3 * encoder.config.features)
    with torch.no_grad():
        torch.onnx.export(
            FramesGraph(encoder),
            (fbank, encoder.initial_state(1)),
            folder / "frames.onnx",
            input_names=["fbank", "state"],
            output_names=["records", "next_state"],
            dynamic_axes={"fbank": {1: "time"}, "records": {1: "count"}},
            opset_version=OPSET,
            dynamo=False,
        )
        torch.onnx.export(
            HeadGraph(encoder),
            (statistics,),
            folder / "head.onnx",
            input_names=["statistics"],
            output_names=["embedding"],
            dynamic_axes={"statistics": {0: "rows"}, "embedding": {0: "rows"}},
            opset_version=OPSET,
            dynamo=False,
        )
