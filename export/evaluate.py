"""`make eval`: diarization of real conversations and simulated meetings, detection, verification.

None of the speakers was trained on, nor was anything tuned on them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from edge.audio import read_audio
from edge.encoder import DEFAULT_MODEL, Model
from edge.enrolment import speech_statistics
from edge.errors import FAILED, INTERRUPTED, EarmarkError
from export.conditions import half_over_telephone, in_babble, in_bands
from export.detection import evaluate_detection
from export.diarization import Outcome, evaluate_conversations, evaluate_meetings
from export.graphs import export_graphs
from export.hearing import AT_ONCE
from export.households import evaluate_households
from export.metadata import model_spec, write_spec
from export.parity import stream_embedder, torch_embedder
from export.pictures import check_picture
from export.refusals import evaluate_refusals
from export.reliability import evaluate_reliability, plot_reliability
from export.rivals import cost_of_model, cost_of_rival, load_rivals
from export.senko import evaluate_senko
from export.sides import all_llrs, sides_of
from export.tables import (
    Verification,
    answers_table,
    calibration_table,
    cost_table,
    detection_table,
    diarization_table,
    naming_table,
    page,
    refusals_table,
    verification_table,
)
from train.encoder import Encoder
from train.encoder_file import load_encoder
from train.manifest import read_manifest
from train.metrics import equal_error_rate, min_dcf
from train.provenance import git_commit
from train.trials import Embed, centre_crop, verification_errors
from train.waveforms import read_audio as read_corpus_audio

Audio = NDArray[np.float32]
Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

CONVERSATION = Path(__file__).resolve().parents[1] / "edge" / "assets" / "conversation.flac"
WEIGHTS = Path(__file__).resolve().parents[1] / "train" / "weights"
LENGTHS = {"whole (8 s at most)": 8.0, "3 s": 3.0, "1.5 s": 1.5}
BABBLE_DB = 5.0
HOUSEHOLDS = 12
COST_SECONDS = 8  # of audio, on which the time of an encoder is measured


def main(argv: list[str] | None = None) -> int:
    """Run the evaluation; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m export.evaluate", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with dev.csv")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="folder of int8 graphs")
    parser.add_argument(
        "--encoder", type=Path, help="the same in torch (NAME.pt of the model's in train/weights)"
    )
    parser.add_argument("--rivals", type=Path, help="folder in which rivals are installed")
    parser.add_argument(
        "--meetings", type=int, default=1, metavar="N", help="simulated, of each size (%(default)s)"
    )
    parser.add_argument(
        "--hours", type=float, default=0.0, help="length of one more, of 20 speakers (none)"
    )
    parser.add_argument("--plot", type=Path, help="draw how well the llrs are calibrated there")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args(argv)
    try:
        figures = evaluate(args)
        if args.json:
            # What there is no figure for is NaN, which JSON has no word for: null, by msgspec.
            args.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    except (EarmarkError, OSError) as error:
        print(f"eval: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Measure part by part, each shown as soon as it is there; returns all figures.

    Raises:
        EarmarkError: a part of the corpus or a model is missing or wrong, or no file could be
            written where the figures are wanted.
    """
    if args.json and not args.json.parent.is_dir():  # told before the work
        raise EarmarkError(f"cannot write {args.json}: no such folder", "Make it, or give another")
    if args.plot:
        check_picture(args.plot)
    console = page()
    int8 = Model.load(args.model)
    encoder = load_encoder(args.encoder or WEIGHTS / f"{int8.spec.name}.pt")
    rivals = load_rivals(args.rivals) if args.rivals else []

    conversations = evaluate_conversations(args.corpus / "conversations", int8)
    _print_diarization(console, "real conversations", conversations)
    senko = evaluate_senko(args.corpus / "conversations", args.rivals) if args.rivals else []
    if senko:
        console.print(diarization_table("the same by senko, offline", senko))
    meetings = evaluate_meetings(args.corpus, int8, args.meetings, args.hours)
    _print_diarization(console, "simulated meetings", meetings)
    detection = evaluate_detection(args.corpus, int8, args.rivals)
    console.print(detection_table(detection))
    audio = read_audio(CONVERSATION)[: 16000 * COST_SECONDS]
    parameters = sum(p.numel() for p in encoder.parameters())
    costs = [cost_of_model(int8, parameters, audio, args.model)]
    costs += [cost_of_rival(rival, audio) for rival in rivals]
    console.print(cost_table(costs, COST_SECONDS))
    forms = _forms(encoder, int8) | {rival.name: rival.embed for rival in rivals}
    verification = evaluate_verification(args.corpus, forms, int8)
    console.print(verification_table(verification))
    reliability = evaluate_reliability(args.corpus, int8)
    console.print(calibration_table(reliability.calibrated))
    console.print(answers_table(reliability.awaited))
    voices = read_manifest(args.corpus / "dev.csv")
    households = evaluate_households(voices, args.corpus, int8, HOUSEHOLDS)
    console.print(naming_table(households))
    refusals = evaluate_refusals(args.corpus, int8)
    console.print(refusals_table(refusals))
    if args.plot:
        plot_reliability(reliability, args.plot)
        console.print(f"the llrs against the truth: {args.plot}")

    parts: dict[str, Sequence[Any]] = {
        "senko": senko,
        "verification": verification,
        "costs": costs,
        "detection": detection,
        "calibration": reliability.calibrated,
        "answers": reliability.awaited,
        "households": households,
        "refusals": refusals,
    }
    return {
        "commit": git_commit(),
        "model": int8.id,
        **{name: [asdict(row) for row in rows] for name, rows in parts.items()},
        "conversations": asdict(conversations),
        "meetings": asdict(meetings),
    }


def _print_diarization(console: Console, what: str, outcome: Outcome) -> None:
    console.print(diarization_table(f"{what}, what is seen after {AT_ONCE:g} s", outcome.at_once))
    console.print(diarization_table(f"{what}, final labels", outcome.final))


def evaluate_verification(
    corpus: Path, forms: dict[str, Embed], answering: Model
) -> list[Verification]:
    """EER and minDCF over all pairs of each development corpus.

    For every form of the encoder by the cosines of all that is in the crops; and by the llrs with
    which `answering` would answer, of the speech that it hears in them.
    """
    utterances = read_manifest(corpus / "dev.csv")
    rows = []
    for name in sorted({u.corpus for u in utterances}):
        chosen = [u for u in utterances if u.corpus == name]
        audios = [read_corpus_audio(u.path) for u in chosen]
        speakers = [u.speaker for u in chosen]
        crops = {length: [centre_crop(a, LENGTHS[length]) for a in audios] for length in LENGTHS}
        crops[f"3 s, babble {BABBLE_DB:g} dB"] = in_babble(crops["3 s"], speakers, BABBLE_DB)
        crops["3 s, each its own band"] = in_bands(crops["3 s"])
        crops["3 s, half over the telephone"] = half_over_telephone(crops["3 s"])
        cells = [(crop, form) for crop in crops for form in forms]
        for crop, form in track(cells, description=name, transient=True):
            eer, cost = verification_errors(crops[crop], speakers, forms[form], None)
            rows.append(Verification(name, crop, form, 100 * eer, cost))
        for crop in track(crops, description=f"{name}, llr", transient=True):
            for form, llrs, targets in _llrs(answering, crops[crop], speakers):
                eer, cost = equal_error_rate(llrs, targets), min_dcf(llrs, targets)
                rows.append(Verification(name, crop, form, 100 * eer, cost))
    return rows


def _llrs(
    model: Model, audios: Sequence[Audio], speakers: Sequence[str]
) -> list[tuple[str, Floats, Marks]]:
    """What the runtime answers of every pair of recordings, and whether it is of one speaker.

    With nobody else enrolled, and with everybody; then it matters which of the two is.
    """
    heard = sides_of(model, np.stack([speech_statistics(model, audio) for audio in audios]))
    names = np.asarray(speakers)
    pairs = np.nonzero(~np.eye(len(names), dtype=bool))
    targets = (names[:, None] == names[None])[pairs]
    name = model.spec.name
    return [
        (f"{name}, llr", all_llrs(model, heard, heard)[pairs], targets),
        (f"{name}, others too", all_llrs(model, heard, heard, (names, names))[pairs], targets),
    ]


def _forms(encoder: Encoder, int8: Model) -> dict[str, Embed]:
    """The encoder in torch (one shot), and streamed in both exported forms."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export_graphs(encoder, folder)
        write_spec(folder, model_spec(encoder.config, int8.spec.name, "", "", "float32"))
        fp32 = Model.load(folder)
    return {
        "torch fp32": torch_embedder(encoder, fp32),
        "ONNX fp32": stream_embedder(fp32),
        "ONNX int8": stream_embedder(int8),
    }


if __name__ == "__main__":
    sys.exit(main())
