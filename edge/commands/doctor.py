"""`earmark doctor`: what works here and what does not."""

# ruff: noqa: PLC0415 (each probe imports what it tries: an import that fails is a finding)

from __future__ import annotations

import argparse
import platform
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge import __version__
from edge.errors import FAILED, EarmarkError, from_interrupt
from edge.printable import printable

if TYPE_CHECKING:
    from edge.publisher import Publisher

PATIENCE = 5.0  # seconds for an event to come back over loopback
EPILOG = (
    "example: earmark doctor\n\nexit status: 1 if anything fails that Earmark cannot do without"
)


class Check(NamedTuple):
    """A part to try: `probe` returns what it found, and raises where it does not work."""

    name: str
    probe: Callable[[], str]
    essential: bool
    remedy: str = ""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "doctor",
        help="what works here and what does not",
        description="Tries every part of Earmark on this machine and says what to do about it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print one line a part; 1 if an essential one fails."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"earmark {__version__}, {system}\n")
    failed = 0
    for check in CHECKS:
        status, detail, remedy = diagnose(check)
        failed += status == "fail"
        print(f"{status:4}  {check.name:12}  {printable(detail)}")
        if remedy:
            print(f"{'':20}{remedy}")
    if failed:
        print(f"\n{failed} of {len(CHECKS)} parts fail", file=sys.stderr)
    return FAILED if failed else 0


def diagnose(check: Check) -> tuple[str, str, str]:
    """Try one part: `ok`, `warn` or `fail`, what was found, and what to do about it."""
    bad = "fail" if check.essential else "warn"
    try:
        return "ok", check.probe(), ""
    except EarmarkError as error:
        return bad, error.what, error.remedy or check.remedy
    except Exception as error:  # a broken installation may raise anything, and that is the finding
        if from_interrupt(error):
            raise
        return bad, f"{type(error).__name__}: {error}", check.remedy


def _native() -> str:
    import numpy as np

    from edge._native import Fbank, FbankOptions

    options = FbankOptions()
    frames = Fbank(options).push(np.zeros(options.sample_rate, dtype=np.float32))
    return f"{frames.shape[0]} frames of {frames.shape[1]} bands from a second of audio"


def _model() -> str:
    import numpy as np

    from edge.encoder import EncoderStream, Model

    model = Model.load()
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * model.spec.sample_rate)
    records = EncoderStream(model).push(noise.astype(np.float32))
    embedding = model.embed(records.sum(axis=0, dtype=np.float64)[None])
    if not np.isfinite(embedding).all():
        raise EarmarkError(f"the model {model.spec.name} computes NaN", "Reinstall earmark")
    spec = model.spec
    return f"{spec.name} {spec.version}, {spec.precision}, embeddings of {embedding.shape[1]}"


def _gate() -> str:
    import numpy as np

    from edge.gate import Gate, GateConfig

    if Gate(GateConfig()).push(np.zeros(16_000, dtype=np.float32)).any():
        raise EarmarkError(
            "WebRTC's detector hears speech in silence", "Reinstall webrtcvad-wheels"
        )
    return "WebRTC's detector hears no speech in silence"


def _zeromq() -> str:
    import zmq

    from edge.client import Subscriber
    from edge.events import SpeechStarted

    with (
        _publisher("tcp://127.0.0.1:*") as publisher,
        Subscriber(publisher.endpoint) as events,
    ):
        if events.join(PATIENCE):
            publisher.publish("doctor", SpeechStarted(0), 0)
            if events.receive(PATIENCE) is not None:
                return f"an event went over loopback, libzmq {zmq.zmq_version()}"
    raise EarmarkError(
        "no event came back over loopback", "See whether a firewall blocks 127.0.0.1"
    )


def _port() -> str:
    from edge.endpoints import DEFAULT_ENDPOINT

    with _publisher(DEFAULT_ENDPOINT):
        return f"{DEFAULT_ENDPOINT} is free"


@contextmanager
def _publisher(endpoint: str) -> Iterator[Publisher]:
    from edge.publisher import Publisher

    with (
        tempfile.TemporaryDirectory(prefix="earmark-doctor-") as folder,
        Publisher(endpoint, Path(folder)) as publisher,
    ):
        yield publisher


def _microphones() -> str:
    from edge.sources.devices import list_devices

    devices = list_devices()
    if not devices:
        raise EarmarkError("no microphone", "Plug one in; files and pipes work without")
    return ", ".join(device.name for device in devices)


def _files() -> str:
    import soundfile

    missing = {"WAV", "FLAC", "OGG"} - soundfile.available_formats().keys()
    if missing:
        raise EarmarkError(f"libsndfile lacks {', '.join(missing)}", "Reinstall soundfile")
    return f"WAV, FLAC and Ogg, {soundfile.__libsndfile_version__}"


def _resampler() -> str:
    import numpy as np

    from edge.resample import Resampler

    resampler = Resampler(48_000)
    samples = np.zeros(48_000, dtype=np.float32)
    count = len(resampler.push(samples)) + len(resampler.flush())
    return f"48,000 samples at 48 kHz become {count:,}"


def _store() -> str:
    from edge.encoder import Model
    from edge.speaker_table import KeyNeededError
    from edge.store import Store, default_path

    path = default_path()
    if not path.exists():
        return f"nobody is enrolled yet; {path} will be made"
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise EarmarkError(
            f"others may read {path}: voices are biometric data", f"chmod 600 {path}"
        )
    try:
        with Store(path, Model.load()) as store:
            return f"{len(store.profiles())} enrolled in {path}"
    except KeyNeededError as error:
        return error.what  # nothing is wrong with it


def _calibration() -> str:
    from edge.encoder import Model
    from edge.recalibration import recalibrate, recalibration_path

    recalibrate(Model.load(), None)
    path = recalibration_path()
    return (
        f"your own, {path}"
        if path.exists()
        else "the model's own; 'earmark calibrate' learns yours"
    )


REINSTALL = "Reinstall with 'pip install --force-reinstall .' in the folder of Earmark's sources"
CHECKS = (
    Check("native core", _native, True, REINSTALL),
    Check("model", _model, True, REINSTALL),
    Check("speech gate", _gate, True, REINSTALL),
    Check("resampler", _resampler, True, REINSTALL),
    Check("audio files", _files, True, REINSTALL),
    Check("ZeroMQ", _zeromq, True, REINSTALL),
    Check("endpoint", _port, False, "Choose another with --endpoint"),
    Check("microphones", _microphones, False, "Files and pipes work without"),
    Check("speakers", _store, True, "Move the file away; enrol the speakers again"),
    Check(
        "calibration", _calibration, True, "Move the file away, or run 'earmark calibrate' again"
    ),
)
