"""`earmark demo`: a conversation through the real path, live in the terminal."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.audio import read_audio
from edge.client import Subscriber
from edge.comparison import Comparison, compare
from edge.encoder import Model
from edge.enrolment import profile_from_audio
from edge.errors import EarmarkError
from edge.events import Envelope, Health
from edge.front_end import SAMPLE_RATE
from edge.outputs import totals
from edge.printable import printable
from edge.rttm import Turn, read_rttm
from edge.show import show
from edge.signals import Stop, stop_on_signals
from edge.store import Store
from edge.timeline import Timeline
from edge.voices import UNKNOWN

ASSETS = Path(__file__).parents[1] / "assets"
CONVERSATION, TRUTH = ASSETS / "conversation.flac", ASSETS / "conversation.rttm"
ENROLLED, ENROLMENT = "ada", ASSETS / "enrol_ada.flac"
STREAM = "demo"
PATIENCE = 10.0  # seconds for the daemon to leave once its stream is over
TICK = 1 / 8
EPILOG = """\
examples:
  earmark demo              four people, 72 s, as it happens
  earmark demo --fast       the same in a few seconds
  earmark demo --mic        your own microphone, until Ctrl-C"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="hear a bundled conversation, live in the terminal",
        description=(
            "Starts the daemon on a bundled conversation of four voices, one of them enrolled, "
            "shows live who speaks, and ends with what was heard next to the truth."
        ),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--fast", action="store_true", help="as fast as possible")
    way.add_argument("--mic", nargs="?", const="", metavar="NAME", help="hear a microphone instead")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Play the demo to its end.

    Raises:
        EarmarkError: the daemon died; the message ends with its last words.
    """
    stop = stop_on_signals()
    live = args.mic is not None
    with tempfile.TemporaryDirectory(prefix="earmark-demo-") as name:
        folder = Path(name)
        if live:
            source = ["--mic", args.mic] if args.mic else []
        else:
            source = ["--wav", str(CONVERSATION), "--store", str(_enrol(folder))]
            source += ["--fast"] * args.fast
        timeline = _hear(source, folder, stop)
    if live:
        _print_turns(_turns(timeline))
        return 0
    if stop.asked:
        raise KeyboardInterrupt
    named = [turn for turn in _turns(timeline) if turn.speaker != UNKNOWN]
    _print_comparison(compare(read_rttm(TRUTH), named))
    return 0


def _enrol(folder: Path) -> Path:
    """A store in `folder` that knows one of the voices."""
    print(f"earmark: enrolling '{ENROLLED}' from other sentences of hers", file=sys.stderr)
    model = Model.load()
    path = folder / "speakers.db"
    with Store(path, model) as store:
        store.enrol(profile_from_audio(model, ENROLLED, read_audio(ENROLMENT)))
    return path


def _hear(source: Sequence[str], folder: Path, stop: Stop) -> Timeline:
    """Run the daemon in a process of its own, show its events, and see it end well."""
    endpoint = f"ipc://{folder / 'events'}"
    log = folder / "daemon.log"
    with _daemon(
        [*source, "--endpoint", endpoint, "--journal", str(folder / "journal")], log
    ) as process:
        with Subscriber(endpoint) as events:
            timelines = show(
                _follow(events, process, stop),
                lambda: f"{events.missed} events missed" if events.missed else "",
            )
        timeline = timelines.get(STREAM, Timeline())
        try:
            status: int | str = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = f"none {PATIENCE:g} s after its last event"
        if not stop.asked and (status != 0 or not timeline.ended):
            raise EarmarkError(
                f"the daemon died, exit status {status}: {_last_line(log)}",
                "'earmark doctor' shows what does not work here",
            )
    return timeline


@contextmanager
def _daemon(options: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon in another process, which does not outlive the block."""
    command = [sys.executable, "-m", "edge.cli", "run", "--stream", STREAM, "--wait-subscriber"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _follow(
    events: Subscriber, process: subprocess.Popen[bytes], stop: Stop
) -> Iterator[Envelope | None]:
    """Envelopes until the stream is over, or the daemon is gone; asks it to end if `stop` is."""
    terminated = False
    while True:
        envelope = events.receive(TICK)
        yield envelope
        if envelope is not None and isinstance(envelope.event, Health) and envelope.event.final:
            return
        if envelope is None and process.poll() is not None:
            return
        if stop.asked and not terminated:
            process.terminate()
            terminated = True


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("earmark: ") if lines else "it said nothing"


def _turns(timeline: Timeline) -> list[Turn]:
    return sorted(
        Turn(segment.start / SAMPLE_RATE, segment.end / SAMPLE_RATE, segment.speaker)
        for segment in timeline.segments.values()
    )


def _print_comparison(result: Comparison) -> None:
    table = Table(title="Who spoke when", box=None, title_justify="left")
    for heading in ("from", "to", "truth", "earmark", "of the turn", ""):
        table.add_column(
            heading, justify="right" if heading in ("from", "to", "of the turn") else "left"
        )
    for turn in result.turns:
        table.add_row(
            f"{turn.truth.start:.1f}",
            f"{turn.truth.end:.1f} s",
            Text(turn.truth.speaker),
            Text(turn.label or "–"),
            f"{turn.share:.0%}",
            Text("right", "green") if turn.right else Text("wrong", "red"),
        )
    console = Console(highlight=False)
    console.print()
    console.print(table)
    names = [f"{label} is {name}" for name, label in result.names.items() if label != name]
    console.print(
        f"\n{result.right:.1%} of {result.speech:.1f} s of speech is labelled right.\n"
        f"Speakers: {result.labels} heard, {result.speakers} in truth.\n"
        f"Enrolled: {ENROLLED}. {'Others: ' + ', '.join(names) + '.' if names else ''}",
        markup=False,
    )


def _print_turns(turns: Sequence[Turn]) -> None:
    print("\nWho spoke when")
    for turn in turns:
        print(f"{turn.start:9.1f} – {turn.end:.1f} s  {printable(turn.speaker)}")
    sums = totals(turns).items()
    print("\n" + ", ".join(f"{printable(name)} {time:.1f} s" for name, time in sums))
