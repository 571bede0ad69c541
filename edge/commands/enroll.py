"""`earmark enroll`: add recordings of a speaker to their profile."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.options import add_condition, add_key, add_model, add_store, load_model
from edge.errors import EarmarkError
from edge.names import composed

if TYPE_CHECKING:
    from edge.encoder import Model
    from edge.enrolment import Recording
    from edge.quality import Quality
    from edge.statistics import Profile, Sums

EPILOG = """\
examples:
  earmark enroll ada ada1.wav ada2.wav     two recordings in which nobody but Ada speaks
  earmark enroll ada later.flac            more of her, at any time: profiles add up
  earmark enroll ada call.wav --condition telephone
  earmark enroll ada --mic                 she speaks for ten seconds; Ctrl-C changes nothing
  earmark enroll ada --mic USB --seconds 30

Three seconds of speech are the least, thirty are good. What is too quiet, clipped, too noisy, of
two voices, or unlike what is known of NAME is refused, and what is doubtful is told. Only
statistics of the voice are kept, never audio, readable by you alone. One bad file, and nothing is
changed. A daemon that runs already knows of it after 'earmark control reload', or SIGHUP."""
SECONDS = 10.0
MOST_SECONDS = 600.0


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "enroll",
        help="add recordings of a speaker to their profile",
        description="Adds the speech in recordings of one person to that person's profile.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", type=composed, help="of the speaker")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "files", metavar="FILE", nargs="*", default=[], type=Path, help="WAV, FLAC or Ogg"
    )
    source.add_argument(
        "--mic",
        nargs="?",
        const="",
        metavar="DEVICE",
        help="a microphone instead: part of its name, or number",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"of speech wanted from the microphone ({SECONDS:g})",
    )
    add_condition(parser)
    add_store(parser)
    add_key(parser)
    add_model(parser)
    parser.set_defaults(handler=run, fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Hear everything, then write once.

    Raises:
        EarmarkError: a bad name, file, microphone, model or store, too little speech, or a
            recording that should not stand for the speaker.
    """
    from edge.enrolment import assess, check_accepted, check_enough
    from edge.names import check_condition, check_name
    from edge.statistics import Profile
    from edge.store import Store, default_path

    if args.seconds is not None:
        _check_seconds(args)
    check_name(args.name)
    check_condition(args.condition)
    model = load_model(args)
    path = args.store or default_path()
    known = _profiles(path, model, args) if path.exists() else []
    heard = _hear_files(model, args.files) if args.mic is None else [_hear_microphone(model, args)]
    recordings = assess(model, args.name, heard, known)
    for recording in recordings:
        check_accepted(recording)
    statistics = _distinct(recordings)
    added = Profile(args.name, sum(statistics[1:], statistics[0]))
    if not path.exists():
        check_enough(model, added)  # before a store is made
    with Store(path, model, key=args.key) as store:
        profile, again = store.enrol(
            added, lambda grown: check_enough(model, grown), condition=args.condition
        )
    _report(recordings)
    new, total = (float(model.seconds(p.statistics)) for p in (added, profile))
    if again:
        print(f"{args.name}: the same speech, not counted again, {total:.1f} s in all")
        return 0
    print(f"{args.name}: {new:.1f} s of speech added, {total:.1f} s in all")
    return 0


def _check_seconds(args: argparse.Namespace) -> None:
    """The command line is wrong where no microphone is heard, or not for so long."""
    from edge.findings import EnrolmentLimits

    if args.mic is None:
        args.fail("--seconds goes with --mic")
    least = EnrolmentLimits().seconds
    if not least <= args.seconds <= MOST_SECONDS:
        args.fail(f"--seconds is {args.seconds:g}, expected {least:g} to {MOST_SECONDS:g}")


def _profiles(path: Path, model: Model, args: argparse.Namespace) -> list[Profile]:
    """Who is enrolled; others than NAME only where their profiles can be used, else it is told.

    Raises:
        EarmarkError: no store, or the profile of NAME is another model's or damaged.
    """
    from edge.store import Store

    profiles, unusable = [], []
    with Store(path, model, key=args.key) as store:
        for enrolled in store.names():
            try:
                profiles.append(store.profile(enrolled))
            except EarmarkError as error:
                if enrolled == args.name:
                    raise
                unusable.append(error)
    if unusable:
        print(
            f"earmark: 'earmark run' does not take {path} with this model: {unusable[0]}",
            file=sys.stderr,
        )
    return profiles


def _hear_files(model: Model, paths: list[Path]) -> list[tuple[str, Quality]]:
    from edge.progress import stream_with_progress
    from edge.quality import measure
    from edge.sources.file import FileSource

    for path in paths:
        FileSource(path).close()  # what can be seen at once is told before the first is heard
    return [(str(path), measure(model, stream_with_progress(path))) for path in paths]


def _hear_microphone(model: Model, args: argparse.Namespace) -> tuple[str, Quality]:
    """What somebody says until it is enough, with a meter where standard error is a terminal."""
    from rich.console import Console
    from rich.live import Live

    from edge.meter_view import MeterView
    from edge.printable import printable
    from edge.recorder import record
    from edge.sources.microphone import MicrophoneSource

    seconds = SECONDS if args.seconds is None else args.seconds
    with MicrophoneSource(args.mic or None) as source:
        print(
            f"earmark: hearing '{printable(source.name)}' until {args.name} has spoken for "
            f"{seconds:g} s",
            file=sys.stderr,
        )
        view = MeterView(args.name, seconds)
        with Live(view, console=Console(stderr=True), auto_refresh=False, transient=True) as live:
            for reading in record(source, model, seconds):
                view.reading = reading
                live.refresh()
    if view.reading is None:
        raise EarmarkError(f"{source.name}: no audio came; nothing was changed", "Try again")
    return source.name, view.reading.quality


def _distinct(recordings: list[Recording]) -> list[Sums]:
    """The statistics (size,) of each; of those that are the same speech once, which is told."""
    from edge.printable import printable

    distinct: dict[bytes, Sums] = {}
    for recording in recordings:
        statistics = recording.quality.statistics
        if statistics.tobytes() in distinct:
            source = printable(recording.source)
            print(f"earmark: {source}: the same speech, not counted again", file=sys.stderr)
        distinct[statistics.tobytes()] = statistics
    return list(distinct.values())


def _report(recordings: list[Recording]) -> None:
    """A line for each recording on standard output, and the doubts on standard error."""
    from edge.printable import printable

    for recording in recordings:
        quality, own = recording.quality, recording.alike.own
        source = printable(recording.source)
        snr = "  ? " if quality.snr is None else f"{quality.snr:4.0f}"
        agreement = "" if own is None else f"  llr {own:+.1f}"
        print(
            f"{quality.seconds:8.1f} s  {quality.level:4.0f} dBFS  SNR {snr} dB  "
            f"clipped {quality.clipped:5.1%}  second voice {quality.second_voice:3.0%}  "
            f"overlap {quality.overlap:3.0%}{agreement}  {source}"
        )
        for doubt in recording.findings:
            print(f"earmark: {source}: {doubt.what}. {doubt.remedy}", file=sys.stderr)
