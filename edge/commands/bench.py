"""`earmark bench`: what the runtime costs on this device, in one line to paste."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge import __version__
from edge.commands.options import add_model, load_model

if TYPE_CHECKING:
    from edge.encoder import Model

EPILOG = """\
example: earmark bench --seconds 300

Hears the bundled conversation over and over, by the way of a live stream and as fast as possible.
A hop is a fifth of a second of audio, and what it takes is the delay that this device adds to a
label. Let nothing else run meanwhile."""
SECONDS = 72.0
MOST_SECONDS = 86_400.0


class Cost(NamedTuple):
    """Of so many seconds of audio: CPU time in all, and wall time a hop."""

    audio: float  # s
    cpu: float  # s
    median: float  # s
    tail: float  # s, 99 % of the hops take no longer


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "bench",
        help="what Earmark costs on this device, in one line",
        description="Measures what Earmark costs on this device and prints one line to paste.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help="of audio (%(default)g)"
    )
    add_model(parser)
    parser.set_defaults(handler=run, fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Measure, and print the line.

    Raises:
        EarmarkError: no usable model.
    """
    if not 1.0 <= args.seconds <= MOST_SECONDS:
        args.fail(f"--seconds is {args.seconds:g}, expected 1 to {MOST_SECONDS:g}")
    cost = _measure(load_model(args), args.seconds)
    share = cost.cpu / cost.audio
    print(
        f"earmark {__version__}: {1000 * share:.1f} ms of CPU a second of audio, "
        f"{1 / share:.0f} streams a core, hop {1000 * cost.median:.1f} ms "
        f"(99 %: {1000 * cost.tail:.1f} ms), peak {_peak_megabytes():.0f} MB; "
        f"{_processor()}, {platform.machine()}, Python {platform.python_version()}"
    )
    return 0


def _measure(model: Model, seconds: float) -> Cost:
    """The cost of so many seconds of the bundled conversation, hop by hop."""
    import numpy as np

    from edge.audio import read_audio
    from edge.commands.demo import CONVERSATION
    from edge.front_end import SAMPLE_RATE
    from edge.pipeline import Pipeline, PipelineConfig

    hop = model.spec.frames_per_chunk * model.frame_shift
    audio = read_audio(CONVERSATION)
    hops = round(seconds * SAMPLE_RATE / hop)
    blocks = audio[: len(audio) // hop * hop].reshape(-1, hop)
    pipeline = Pipeline(model, [], PipelineConfig())
    taken = np.empty(hops)
    begun = time.process_time()
    for i in range(hops):
        start = time.perf_counter()
        pipeline.push(blocks[i % len(blocks)])
        taken[i] = time.perf_counter() - start
    cpu = time.process_time() - begun
    return Cost(hops * hop / SAMPLE_RATE, cpu, *np.quantile(taken, [0.5, 0.99]))


def _processor() -> str:
    """Its name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "processor unknown"


def _peak_megabytes() -> float:
    """Of memory in use by this process so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
