"""The base install is the runtime alone: no torch, no scipy, and rich only where it draws."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from daemons import HANGING
from voices import CONVERSATION, ENROLMENT

ROOT = Path(__file__).parents[1]
NEVER = {"torch", "torchaudio", "scipy", "onnx", "matplotlib", "sympy", "train", "export", "psutil"}
HEAVY = {"rich", "sounddevice", "zmq", "prometheus_client"}  # not for files
PROGRAM = """
import sys
from edge.cli import main
status = main(sys.argv[1:])
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(status)
"""


def modules_of(*words: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=True,
    )
    return set(result.stderr.split())


def test_diarizing_a_file_loads_the_runtime_alone(tmp_path: Path) -> None:
    output = tmp_path / "x.rttm"
    loaded = modules_of("diarize", str(CONVERSATION), "--anonymous", "--rttm", str(output))
    assert output.read_text(encoding="utf-8").startswith("SPEAKER conversation 1 ")
    assert {"edge.pipeline", "onnxruntime"} <= loaded
    assert not loaded & (NEVER | HEAVY)


def test_a_daemon_loads_no_more_than_it_was_asked_for(tmp_path: Path) -> None:
    places = ["--endpoint", f"ipc://{tmp_path / 'e'}", "--journal", str(tmp_path / "journal")]
    words = ["--wav", str(ENROLMENT), "--fast", "--store", str(tmp_path / "s.db")]
    loaded = modules_of("run", *words, *places)
    assert "zmq" in loaded
    assert not loaded & (NEVER | HEAVY - {"zmq"})


def test_enrolling_loads_the_runtime_alone(tmp_path: Path) -> None:
    loaded = modules_of("enroll", "ada", str(ENROLMENT), "--store", str(tmp_path / "s.db"))
    assert not loaded & (NEVER | HEAVY)


def test_a_satellite_loads_no_encoder() -> None:
    """It may have a tenth of the memory of a daemon."""
    program = "import sys, edge.commands.satellite\nprint(*sys.modules, file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGING, check=True
    )
    assert not set(result.stderr.split()) & (NEVER | HEAVY - {"zmq"} | {"onnxruntime"})


@pytest.mark.parametrize("command", ["enroll", "verify", "identify", "diarize", "speakers"])
def test_help_loads_next_to_nothing(command: str) -> None:
    program = (
        "import sys\nfrom edge.cli import parser\n"
        f"parser({command!r})\nprint(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGING, check=True
    )
    loaded = set(result.stderr.split())
    assert f"edge.commands.{command}" in loaded
    assert not loaded & (NEVER | HEAVY | {"numpy", "onnxruntime", "soundfile", "edge._native"})


def test_no_module_of_the_runtime_names_the_toolchain() -> None:
    for path in sorted((ROOT / "edge").rglob("*.py")):
        if path.is_relative_to(ROOT / "edge" / "assets"):
            continue  # the script that made the conversation is no part of the runtime
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert not {name.split(".")[0] for name in names} & NEVER, path


@pytest.mark.parametrize(
    ("module", "package"),
    [("train.cli", "torch"), ("export.cli", "torch"), ("export.trials", "scipy")],
)
def test_without_its_packages_the_toolchain_says_how_to_install_them(
    module: str, package: str
) -> None:
    """From the sources: no registry has Earmark, and one may have another thing of that name."""
    program = f"import sys\nsys.modules[{package!r}] = None\nimport {module}"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"{package} is not installed" in line
    assert "pip install '.[train]' in the folder of Earmark's sources" in line
