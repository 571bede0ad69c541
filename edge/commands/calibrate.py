"""`earmark calibrate`: odds that hold for the user's own microphones, rooms and language."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.options import add_model, operating_point
from edge.errors import EarmarkError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.clips import Clip, Trials
    from edge.encoder import Model
    from edge.recalibration import Line

EPILOG = """\
examples:
  earmark calibrate clips/                          clips/ada/1.wav, clips/ada/2.wav, clips/ben/...
  earmark calibrate clips/ --false-accept 0.001
  earmark calibrate clips/ --output kitchen.json    then: earmark verify --calibration kitchen.json

A folder of clips for each of at least four speakers, recorded as they will be heard, on different
occasions. 'adapt', 'verify' and 'identify' use the result at once, 'run' when it starts. Whoever is
enrolled beside a speaker tells of the place, too, so two lines are learnt: for one who is enrolled
alone, and for many. What the table says of the new odds is measured on each speaker by those learnt
of the others. Nothing of the clips is kept but these four numbers."""
LEAST_MEASURED = 10  # trials of a kind, below which a rate says nothing


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "calibrate",
        help="learn from your own clips how sure an answer is",
        description="Learns from clips of known speakers how sure an answer is where you use it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="with a folder a speaker")
    parser.add_argument(
        "--false-accept",
        type=float,
        default=0.01,
        metavar="RATE",
        help="at which the table counts (%(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where to keep it (~/.local/share/earmark/calibration.json)",
    )
    add_model(parser)
    parser.set_defaults(handler=run, fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Hear all clips, compare each with each, and keep what was learnt.

    Raises:
        EarmarkError: a bad model or folder, or clips that tell no speakers apart.
    """
    from edge.clips import compare, unseen_llrs
    from edge.commands.options import load_model
    from edge.private_file import check_replaceable
    from edge.recalibration import Recalibration, recalibration_path, save_recalibration

    point = operating_point(args)
    path = args.output or recalibration_path()
    check_replaceable(path)
    model = load_model(args)
    clips = _hear(model, args.folder)
    alone, among = (compare(model, clips, beside=beside) for beside in (False, True))
    lines = _learn(args.folder, alone), _learn(args.folder, among)
    print(f"at {args.false_accept:.3g} asked     strangers accepted      speakers not recognised")
    print("speech  trials    before -> after         before -> after")
    for title, trials in (("nobody else enrolled", alone), ("the others enrolled, too", among)):
        print(title)
        _print_rows(trials, unseen_llrs(trials), point.accept_llr)
    speakers = len({clip.speaker for clip in clips})
    save_recalibration(Recalibration(model.odds_id, *lines, speakers, len(alone.llrs)), path)
    told = " and ".join(f"{line.offset:+.2f} + {line.slope:.2f}" for line in lines)
    print(f"llr = {told} x the model's own, alone and among others, kept in {path}")
    return 0


def _learn(folder: Path, trials: Trials) -> Line:
    from edge.clips import fit_trials
    from edge.recalibration import SLOPES, Line

    offset, slope = fit_trials(trials)
    if not SLOPES[0] <= slope <= SLOPES[1]:
        raise EarmarkError(
            f"the clips in {folder} do not tell their speakers apart (slope {slope:.2f})",
            "Check that each folder holds one speaker; the calibration was left as it is",
        )
    return Line(offset, slope)


def _hear(model: Model, folder: Path) -> list[Clip]:
    """The clips; one that cannot be heard or holds hardly any speech is told and left out."""
    from edge.audio import stream_audio
    from edge.clips import LENGTHS, check_pairs, clip_files, hear_clip, speaker_folders
    from edge.commands.options import tell_left_out
    from edge.gate import GateConfig
    from edge.printable import printable
    from edge.progress import count_with_progress
    from edge.records import iter_records

    for inner in speaker_folders(folder):
        tell_left_out(inner)
    files = clip_files(folder)
    clips: list[Clip] = []
    heard: dict[bytes, tuple[str, Path]] = {}
    for speaker, path in count_with_progress(files, len(files)):
        try:
            clip = hear_clip(model, speaker, iter_records(model, GateConfig(), stream_audio(path)))
        except EarmarkError as error:
            print(f"earmark: {error}; left out", file=sys.stderr)
            continue
        if clip is None:
            print(
                f"earmark: {printable(str(path))} holds less than {LENGTHS[0]:g} s of speech; "
                "left out",
                file=sys.stderr,
            )
            continue
        other, before = heard.setdefault(clip.whole.tobytes(), (speaker, path))
        if other != speaker:
            raise EarmarkError(
                f"{before} and {path} are the same speech, expected of two speakers",
                "Leave it in the folder of who speaks; the calibration was left as it is",
            )
        clips.append(clip)
    check_pairs(folder, [clip.speaker for clip in clips])
    return clips


def _print_rows(trials: Trials, unseen: NDArray[np.float64], threshold: float) -> None:
    """How often strangers get a yes and speakers do not, before and after, by length of speech."""
    from edge.clips import LENGTHS

    for number, length in enumerate(LENGTHS):
        here = trials.lengths == number
        cells = []
        for targets in (False, True):
            chosen = here & (trials.targets == targets)
            if chosen.sum() < LEAST_MEASURED:
                cells.append("too few")
                continue
            accepted = [(llrs[chosen] >= threshold).mean() for llrs in (trials.llrs, unseen)]
            before, after = (1.0 - rate if targets else rate for rate in accepted)
            cells.append(f"{before:6.2%} -> {after:6.2%}")
        if here.any():
            print(f"{length:4g} s  {here.sum():6}    {cells[0]:22}  {cells[1]}")
