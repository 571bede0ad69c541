"""`earmark diarize`: who spoke when in recordings."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.options import (
    add_key,
    add_model,
    add_store,
    existing_store,
    load_model,
    tell_left_out,
)
from edge.errors import FAILED, EarmarkError
from edge.outputs import KINDS, STANDARD_OUTPUT, Outputs, totals

if TYPE_CHECKING:
    from edge.diarization import Diarization
    from edge.encoder import Model
    from edge.statistics import Profile

EPILOG = """\
examples:
  earmark diarize meeting.flac
  earmark diarize meeting.flac --rttm meeting.rttm --srt meeting.srt --json meeting.json
  earmark diarize meeting.flac --plot meeting.svg --truth meeting.rttm
  earmark diarize recordings/ --rttm found/ --jobs 4
  earmark diarize monday.flac tuesday.flac --speakers team.voices
  earmark diarize *.wav --anonymous --rttm - > all.rttm

Enrolled speakers go by their names, others are speaker1, speaker2 and so on, in each file anew,
or with --speakers the same from one recording, and one call, to the next. A number is missing where
its voice turned out to be another's; 'unknown' is a voice of which too little was heard. The file
takes the way of a live source, so the answer is what 'earmark run', by its default settings and
without a calibration, would have said in the end.

Of a folder, the WAV, FLAC and Ogg files right in it are heard; what else it shows is told.

OUT is a file, a folder that is there for one file a recording (meeting.rttm of meeting.flac), or
'-' for standard output. What is wrong with a recording is told, and the others are done; the exit
status is 1 then."""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "diarize",
        help="who spoke when in recordings",
        description="Says who spoke when: a table, or RTTM, SRT, JSON or a picture.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help="WAV, FLAC or Ogg, or a folder of them"
    )
    for kind, what in KINDS.items():
        parser.add_argument(f"--{kind}", metavar="OUT", help=f"write {what}")
    parser.add_argument(
        "--truth", metavar="RTTM", type=Path, help="draw this above; or a folder of NAME.rttm"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="recordings at a time (%(default)s)"
    )
    parser.add_argument(
        "--speakers",
        metavar="FILE",
        type=Path,
        help="know voices without a name from earlier recordings, and keep them in FILE",
    )
    names = parser.add_mutually_exclusive_group()
    add_store(names)
    names.add_argument("--anonymous", action="store_true", help="name nobody who is enrolled")
    add_key(parser)
    add_model(parser)
    parser.set_defaults(handler=run, fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Hear the recordings and write what is in each as soon as it is known.

    Raises:
        EarmarkError: a bad model, store or truth, or an output that cannot be written.
    """
    from edge.diarization import recordings
    from edge.rttm import read_rttm
    from edge.state import alone_with_file

    targets = {kind: target for kind in KINDS if (target := getattr(args, kind))}
    if list(targets.values()).count(STANDARD_OUTPUT) > 1:
        args.fail("only one output can go to standard output")
    if args.truth and not args.plot:
        args.fail("--truth is drawn into a picture: give --plot as well")
    if args.jobs < 1:
        args.fail(f"--jobs is {args.jobs}, expected 1 or more")
    if args.jobs > 1 and args.speakers:
        args.fail("--speakers hears one recording after another: leave --jobs out")
    for folder in filter(Path.is_dir, args.files):
        tell_left_out(folder)
    paths = recordings(args.files)
    truth = _truth_files(args.truth, paths)
    right = {path: read_rttm(file, path.stem) for path, file in truth.items()}
    outputs = Outputs(targets, paths, right)
    kept = filter(None, (args.store, args.key, args.speakers))
    outputs.spare([*paths, *truth.values(), *kept])
    alone = alone_with_file(args.speakers) if args.speakers else nullcontext()
    failures = 0
    with alone, closing(_found(args, paths)) as found:
        for result in found:
            if isinstance(result, EarmarkError):
                failures += 1
                print(f"earmark: {result}", file=sys.stderr)
            elif targets:
                outputs.write(result)
            else:
                _print_table(result)
    if failures < len(paths):
        outputs.finish()
    return FAILED if failures else 0


def _truth_files(truth: Path | None, paths: Sequence[Path]) -> dict[Path, Path]:
    """The file with the right turns of each recording: the one, or NAME.rttm in the folder."""
    if truth is None:
        return {}
    if not truth.is_dir() and len(paths) > 1:
        raise EarmarkError(
            f"{truth} is the truth of one recording, and there are {len(paths)}",
            "Give a folder with NAME.rttm for each",
        )
    return {path: truth / f"{path.stem}.rttm" if truth.is_dir() else truth for path in paths}


def _profiles(args: argparse.Namespace, model: Model) -> list[Profile]:
    """Whom to name: nobody, or all of the store that is asked for, or of the user's if there is."""
    from edge.store import default_path

    if args.anonymous or (args.store is None and not default_path().exists()):
        return []
    with existing_store(args, model) as store:
        return store.profiles()


def _found(
    args: argparse.Namespace, paths: Sequence[Path]
) -> Generator[Diarization | EarmarkError, None, None]:
    """What is in each recording, or what is wrong with it, in their order."""
    from edge.diarization import diarize, diarize_in_parallel
    from edge.progress import count_with_progress, stream_with_progress
    from edge.state import read_state, write_state

    model = load_model(args)
    profiles = _profiles(args, model)
    if args.jobs > 1 and len(paths) > 1:
        in_parallel = diarize_in_parallel(paths, args.model, profiles, args.jobs)
        yield from count_with_progress(in_parallel, len(paths))
        return
    known = read_state(args.speakers, model) if args.speakers else None
    for path in paths:
        try:
            found = diarize(path, model, profiles, stream_with_progress(path), known)
        except EarmarkError as error:
            yield error
            continue
        yield found  # before what may fail
        if args.speakers:
            known = found.after
            write_state(args.speakers, known)


def _print_table(found: Diarization) -> None:
    from edge.printable import printable

    print(f"{printable(str(found.path))}, {found.seconds:.1f} s\n")
    if not found.turns:
        print("nobody speaks\n")
        return
    print(f"{'from':>9}  {'to':>9}  {'seconds':>7}  speaker")
    for turn in found.turns:
        length = turn.end - turn.start
        print(f"{turn.start:9.1f}  {turn.end:9.1f}  {length:7.1f}  {turn.speaker}")
    sums = ", ".join(f"{name} {time:.1f} s" for name, time in totals(found.turns).items())
    print(f"\n{sums}\n")
