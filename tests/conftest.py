"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORPUS = Path(os.environ.get("EARMARK_CORPUS", ROOT.parent / "shared" / "corpus"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real speech. Users do not have it: the test then skips and says so."""
    if not (CORPUS / "train.csv").is_file():
        pytest.skip(f"needs the speech corpus, and there is none at {CORPUS}")
    return CORPUS
