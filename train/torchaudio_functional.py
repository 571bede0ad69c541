"""torchaudio.functional, also beside a CPU-only torch.

torchaudio's compiled extension wants CUDA libraries and fails to load without them; what is used
here is written in Python. Where the plain import fails, the extension is replaced by its absence.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from typing import Any


def _pass_through(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _without_extension() -> types.ModuleType:
    stub = types.ModuleType("torchaudio._extension")
    stub.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        fail_if_no_align=_pass_through,
    )
    return stub


def _load() -> Any:
    try:
        return importlib.import_module("torchaudio.functional")
    except (ImportError, OSError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _without_extension()
        return importlib.import_module("torchaudio.functional")


_functional = _load()
fftconvolve = _functional.fftconvolve
resample = _functional.resample
mu_law_encoding = _functional.mu_law_encoding
mu_law_decoding = _functional.mu_law_decoding
phase_vocoder = _functional.phase_vocoder
