"""`earmark-trials`: a Kaldi-style list of trials in; scores, error rates and a DET plot out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

try:
    import matplotlib  # noqa: F401
    import scipy  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(
        f"earmark-trials: {error.name} is not installed. Run: pip install '.[train]' in the folder "
        "of Earmark's sources"
    )
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.stats import norm

from edge.audio import stream_audio
from edge.cli import exit_status
from edge.commands.options import (
    add_calibration,
    add_key,
    add_model,
    add_store,
    existing_store,
    load_calibrated_model,
)
from edge.encoder import Model
from edge.enrolment import stream_statistics
from edge.errors import EarmarkError
from edge.gallery import claimed_gallery
from edge.outputs import STANDARD_OUTPUT
from edge.scoring import directions, match_pairs
from edge.sources.file import FileSource
from edge.statistics import Sums
from edge.whole_file import check_writable, spare, write_whole
from export.pictures import check_picture
from train.metrics import cllr, equal_error_rate, error_rates, min_cllr, min_dcf

_KINDS = {"target": True, "nontarget": False}
_TICKS = [0.001, 0.01, 0.05, 0.1, 0.2, 0.4]
EPILOG = """\
examples:
  earmark-trials trials.txt
  earmark-trials trials.txt --scores scores.txt --det det.png
  earmark-trials trials.txt --store speakers.db     the first column names the enrolled

A line of the list is ENROL_WAV TEST_WAV target|nontarget, paths as seen from the current folder;
a line of the scores is ENROL_WAV TEST_WAV LLR, a natural logarithm, of all the speech in both.
Of files, an llr knows those two alone; of the enrolled it is that of 'earmark verify'. Both are by
your own calibration, if there is one.
Each file is heard once, however many trials it stands in.

exit status: 0 all went well; 1 something is wrong outside the program, told in one line;
2 the command line is wrong; 130 interrupted; 141 the reader of the output went away"""


@dataclass(frozen=True)
class Trial:
    """A recording against who is enrolled, and whether it is the same speaker's."""

    enrolled: str
    test: str
    target: bool


def read_trials(path: Path) -> list[Trial]:
    """The trials of a list; empty lines are passed over.

    Raises:
        EarmarkError: the list cannot be read, a line is malformed, or a kind of trial is missing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EarmarkError(f"cannot read the trials {path}: {error}", "Check the path") from error
    trials = []
    for number, line in enumerate(text.split("\n"), start=1):
        match line.split():
            case []:
                continue
            case [enrolled, test, kind] if kind in _KINDS and "\0" not in line:
                trials.append(Trial(enrolled, test, _KINDS[kind]))
            case _:
                raise EarmarkError(
                    f"{path}, line {number}: expected 'ENROL TEST target' or "
                    f"'ENROL TEST nontarget', got {line[:100]!r}",
                    "Correct the line",
                )
    if {trial.target for trial in trials} != {True, False}:
        raise EarmarkError(
            f"{path}: error rates need trials of both kinds, target and nontarget",
            "Add some of the other kind",
        )
    return trials


def score_trials(
    model: Model, trials: Sequence[Trial], heard: dict[str, Sums]
) -> NDArray[np.float64]:
    """The llr (trials,) of each trial from the statistics of both sides by name."""
    first, first_seconds = _embed(model, heard, [trial.enrolled for trial in trials])
    second, second_seconds = _embed(model, heard, [trial.test for trial in trials])
    match = match_pairs(directions(first), directions(second))
    return model.across.alone.llr(match, first_seconds, second_seconds)


def _embed(
    model: Model, statistics: dict[str, Sums], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Embeddings (names, size) and net seconds (names,), each embedded once."""
    rows = {name: row for row, name in enumerate(statistics)}
    order = [rows[name] for name in names]
    sums = np.stack(list(statistics.values()))
    return model.embed(sums)[order], model.seconds(sums)[order]


def plot_det(scores: NDArray[np.float64], targets: NDArray[np.bool_], path: Path) -> None:
    """Draw the detection error trade-off on normal deviates (Martin et al., 1997)."""
    miss, false_alarm = error_rates(scores, targets)
    inside = (miss > 0) & (false_alarm > 0)  # 0 and 1 are infinitely far away
    figure = Figure(figsize=(5, 5), layout="constrained")
    axis = figure.subplots()
    axis.plot(norm.ppf(false_alarm[inside]), norm.ppf(miss[inside]))
    axis.axline((0, 0), slope=1, color="0.8", linewidth=0.8)
    labels = [f"{100 * rate:g}" for rate in _TICKS]
    axis.set_xticks(norm.ppf(_TICKS), labels)
    axis.set_yticks(norm.ppf(_TICKS), labels)
    limits = norm.ppf([_TICKS[0], _TICKS[-1]])
    axis.set(xlim=limits, ylim=limits, xlabel="false alarms, %", ylabel="misses, %")
    axis.set_title(f"{targets.sum()} target, {(~targets).sum()} nontarget trials")
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise EarmarkError(f"cannot write {path}: {error}", "Give another file, *.png") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the exit status."""
    parser = argparse.ArgumentParser(
        prog="earmark-trials",
        description="Scores a list of verification trials, and tells the error rates.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trials", metavar="LIST", type=Path, help="ENROL_WAV TEST_WAV KIND a line")
    parser.add_argument(
        "--scores",
        metavar="OUT",
        help="write ENROL TEST LLR there; '-': to standard output, and the rates to standard error",
    )
    parser.add_argument("--det", type=Path, metavar="PNG", help="draw the DET curve there")
    add_store(parser)
    add_key(parser)
    add_model(parser)
    add_calibration(parser)
    return exit_status("earmark-trials", lambda: _measure(parser.parse_args(argv)))


def _measure(args: argparse.Namespace) -> int:
    scores_file = None if args.scores in (None, STANDARD_OUTPUT) else Path(args.scores)
    outputs = [output for output in (scores_file, args.det) if output is not None]
    for output in outputs:  # told before the work
        if output.is_dir():
            raise EarmarkError(f"{output} is a folder, expected a file", "Give another")
        check_writable(output)
    if args.det is not None:
        check_picture(args.det)
    trials = read_trials(args.trials)
    _spare_what_is_read(args, trials, outputs)
    model = load_calibrated_model(args)
    tests = list(dict.fromkeys(trial.test for trial in trials))
    names = list(dict.fromkeys(trial.enrolled for trial in trials))
    if args.store is not None:
        with existing_store(args, model) as store:
            galleries = {name: claimed_gallery(model, store, name) for name in names}
        heard = _hear(model, tests)
        scores = np.array([galleries[t.enrolled].llr(t.enrolled, heard[t.test]) for t in trials])
    else:
        scores = score_trials(model, trials, _hear(model, list(dict.fromkeys([*tests, *names]))))
    targets = np.array([trial.target for trial in trials])
    if scores_file is not None:
        write_whole(scores_file, _score_lines(trials, scores))
    elif args.scores is not None:
        print(_score_lines(trials, scores), end="")
    with redirect_stdout(sys.stderr) if args.scores == STANDARD_OUTPUT else nullcontext():
        _print_rates(scores, targets)
    if args.det is not None:
        plot_det(scores, targets, args.det)
    return 0


def _spare_what_is_read(
    args: argparse.Namespace, trials: Sequence[Trial], outputs: Sequence[Path]
) -> None:
    """See that no output is written over the list, what it names, or what else is given."""
    heard = {trial.test for trial in trials}
    if args.store is None:
        heard |= {trial.enrolled for trial in trials}
    read = filter(None, (args.trials, args.store, args.key, args.calibration))
    spare([*read, *map(Path, sorted(heard))], [output.resolve() for output in outputs])


def _print_rates(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> None:
    print(f"trials   {targets.sum()} target, {(~targets).sum()} nontarget")
    print(f"EER      {100 * equal_error_rate(scores, targets):.2f} %")
    print(f"minDCF   {min_dcf(scores, targets):.3f} at a prior of 0.01")
    print(f"Cllr     {cllr(scores, targets):.3f} bit")
    print(f"minCllr  {min_cllr(scores, targets):.3f} bit")


def _hear(model: Model, names: Sequence[str]) -> dict[str, Sums]:
    """Statistics of the speech in each file, after a look at all of them."""
    for name in names:
        FileSource(Path(name)).close()
    bar = track(
        names,
        description="files",
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    return {name: stream_statistics(model, stream_audio(Path(name))) for name in bar}


def _score_lines(trials: Sequence[Trial], scores: NDArray[np.float64]) -> str:
    return "".join(
        f"{trial.enrolled} {trial.test} {score:.6f}\n"
        for trial, score in zip(trials, scores, strict=True)
    )


if __name__ == "__main__":
    sys.exit(main())
