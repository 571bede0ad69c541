"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

# A shell ignores Ctrl-C for what it begins in the background, and whatever that begins inherits it:
# the tests that send Ctrl-C would fail there.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
CORPUS = Path(os.environ.get("EARMARK_CORPUS", ROOT.parent / "shared" / "corpus"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real speech. Users do not have it: the test then skips and says so."""
    if not (CORPUS / "train.csv").is_file():
        pytest.skip(f"needs the speech corpus, and there is none at {CORPUS}")
    return CORPUS


Note = Callable[[str, float, str, float | None], None]


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines that are printed when the module is done."""
    lines: list[str] = []
    yield lines
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n\n{'':44} {'measured':>10}  {'aim':>8}", *lines, "", sep="\n")


@pytest.fixture
def note(benchmark: BenchmarkFixture, table: list[str]) -> Note:
    """Keeps a figure: what it is, its value, its unit, and what it should stay under."""

    def keep(what: str, value: float, unit: str, aim: float | None) -> None:
        benchmark.extra_info[f"{what}, {unit}"] = value
        limit = "" if aim is None else f"< {aim:g}"
        table.append(f"{what:44} {value:>10.3g}  {limit:>8}  {unit}")

    return keep


@pytest.fixture(scope="session", autouse=True)
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Journals and speakers of tests are not in the home of who runs them, nor theirs in tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_STATE_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """A daemon that a test runs in this process leaves no handlers behind for the next."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
