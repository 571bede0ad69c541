"""`earmark-export`: from a trained encoder to the int8 streaming model that ships."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

try:
    import torch  # noqa: F401
except ModuleNotFoundError:
    sys.exit(
        "earmark-export: torch is not installed. Run: pip install '.[train]' in the folder of "
        "Earmark's sources"
    )
import msgspec
import numpy as np
from rich.console import Console

from edge._native import Fbank, FbankOptions
from edge.encoder import GRAPHS, Model, ModelSpec
from edge.errors import FAILED, INTERRUPTED, EarmarkError
from edge.lock import locked
from export.calibrate import fit_calibration
from export.card import write_card, write_windowed_card
from export.gate import measure
from export.graphs import CHUNK, export_graphs
from export.levelling import levelled
from export.metadata import model_spec, write_spec
from export.quantise import next_float_block, quantise_frames
from export.shrinking import FEWEST, MOST, shrink_matrices
from export.sides import shared_channels
from export.windowed import write_windowed
from train.augment import AugmentConfig
from train.config import DataConfig, TrainConfig
from train.corpus import HELD_OUT_RECORDINGS, Corpus, Speech
from train.encoder import Encoder
from train.encoder_file import load_encoder
from train.lists import FOLDER
from train.provenance import provenance

RANGE_RECORDINGS = 60  # fix the int8 ranges; every activation of theirs is held in memory: 4 GB
RANGE_SAMPLES = 64000  # of each
SEARCH_RECORDINGS = 12  # judge which block to take back to float
MAX_FLOAT_BLOCKS = 3
EPILOG = """\
examples:
  earmark-export runs/small/encoder.pt --corpus ../shared/corpus --output edge/models/small
  earmark-export runs/teachers/campplus.onnx --corpus ../shared/corpus --output runs/campplus

The corpus is that of the training. An export that stops or is refused leaves --output as it was.

exit status: 0 all went well; 1 the result must not ship, for the reasons told, or something is
wrong outside the program; 2 the command line is wrong; 130 interrupted"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="earmark-export",
        description="Export an encoder: ONNX graphs, int8 quantisation, a gate that compares "
        "torch, float and int8 on held-out speakers, score calibration, metadata and model card. "
        "An ordinary encoder of whole utterances is put behind a sliding window, and calibrated.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "encoder",
        type=Path,
        help="encoder.pt of a run of earmark-train; or NAME.onnx, an ordinary encoder from log-mel "
        "frames (1, time, 80), each mel with mean zero, to an embedding (1, size)",
    )
    parser.add_argument("--corpus", type=Path, required=True, help=FOLDER)
    parser.add_argument("--output", type=Path, required=True, help="folder of the int8 model")
    parser.add_argument(
        "--licence", default="not stated", help="of an encoder.pt's weights, for the model card"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/cache"), help="decoded audio (runs/cache)"
    )
    parser.add_argument(
        "--fp32", type=Path, help="also keep the float32 model (default: beside the encoder)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = _parser().parse_args(argv)
    fp32 = args.fp32 or args.encoder.parent / "fp32"
    failures = list[str]()
    try:
        if args.encoder.suffix == ".onnx":
            export_windowed(args.encoder, args.corpus, args.output, args.cache)
        else:
            failures = export(
                args.encoder,
                args.corpus,
                args.output,
                cache=args.cache,
                fp32_folder=fp32,
                licence=args.licence,
            )
    except EarmarkError as error:
        print(f"earmark-export: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        remedy = f"See that {args.output.parent}, {fp32} and {args.cache} can be written"
        print(f"earmark-export: {error}. {remedy}, and have room", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    for reason in failures:
        print(f"earmark-export: refused: {reason}", file=sys.stderr)
    if failures:
        output = args.output.resolve()
        where = f"what was refused is in {_staging(output)}; {output} is as it was"
        print(f"earmark-export: {where}", file=sys.stderr)
        return FAILED
    print(f"done: run it with  earmark run --model {args.output}")
    return 0


def export(
    encoder_path: Path,
    corpus_folder: Path,
    output: Path,
    *,
    cache: Path,
    fp32_folder: Path,
    licence: str,
) -> list[str]:
    """Write the float32 and int8 models; returns the reasons why the result must not ship.

    A model that is refused stays in a folder beside `output`, whose content is left as it was.
    """
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of torch's own exporter
    output = _checked(output)
    encoder = levelled(_trained(encoder_path))
    config = TrainConfig(encoder=encoder.config, data=_data(encoder_path))
    corpus = Corpus.open(corpus_folder, cache, config)
    with _staged(output) as staging, _alone_in(fp32_folder, "--fp32"):
        failures = _make(encoder, corpus, staging, fp32_folder, name=output.name, licence=licence)
        if not failures:
            _replace(output, staging)
    return failures


def _make(
    encoder: Encoder, corpus: Corpus, staging: Path, fp32_folder: Path, *, name: str, licence: str
) -> list[str]:
    """Write both models and the card of the int8 one; returns the reasons why it must not ship."""
    audios, speakers = corpus.held_out_trials()
    training_data = ", ".join(sorted({u.corpus for u in corpus.train}))
    print("writing float32 graphs")
    export_graphs(encoder, fp32_folder)
    write_spec(fp32_folder, model_spec(encoder.config, name, training_data, licence, "float32"))

    random = np.random.default_rng(1)
    count = min(RANGE_RECORDINGS, len(corpus.train_indices))
    chosen = random.choice(corpus.train_indices, count, replace=False)
    # As microphones give them: an activation beyond its range is cut.
    augmenter = corpus.augmenter(AugmentConfig())
    crops = [corpus.waveforms.random_crop(int(i), RANGE_SAMPLES, random) for i in chosen]
    heard = [augmenter.waveform(crop, random) for crop in crops]
    streams = [Fbank(FbankOptions()).push(audio) for audio in heard]
    spec = model_spec(encoder.config, name, training_data, licence, "int8")
    frames, float_blocks = staging / "frames.onnx", list[int]()
    most, least_bits = min(MAX_FLOAT_BLOCKS, len(encoder.blocks)), FEWEST
    _shrink(fp32_folder, staging, least_bits)
    print("quantising")
    quantise_frames(fp32_folder / "frames.onnx", frames, streams, CHUNK)
    while True:
        write_spec(staging, spec)
        gate = measure(encoder, Model.load(fp32_folder), Model.load(staging), audios, speakers)
        Console().print(gate.table())
        if not gate.int8_hurts() or (least_bits == MOST and len(float_blocks) == most):
            break
        if least_bits < MOST:
            print(f"int8 loses too much: head and segmenter in {MOST} bits")
            least_bits = MOST
            _shrink(fp32_folder, staging, least_bits)
        else:
            few = streams[:SEARCH_RECORDINGS]
            print("int8 loses too much: looking for the block that it hurts most")
            worst = next_float_block(fp32_folder / "frames.onnx", frames, few, CHUNK, float_blocks)
            float_blocks.append(worst)
            print("quantising" + "".join(f", block {block} in float" for block in float_blocks))
            quantise_frames(fp32_folder / "frames.onnx", frames, streams, CHUNK, float_blocks)

    spec = _calibrated(staging, spec, corpus, corpus.held_out_speech(), corpus.unheard_speakers)

    parameters = sum(p.numel() for p in encoder.parameters())
    write_card(
        staging,
        spec,
        parameters=parameters,
        gate=gate,
        float_blocks=float_blocks,
        least_bits=least_bits,
        origin=provenance(encoder.config),
    )
    return gate.failures()


def _trained(path: Path) -> Encoder:
    """The encoder in a file.

    Raises:
        EarmarkError: there is none, or it cannot tell where somebody speaks.
    """
    encoder = load_encoder(path)
    if not encoder.activity.trained:
        raise EarmarkError(
            f"the speech and overlap outputs of {path} were never trained: where somebody speaks "
            "would be told at random",
            f"Train them: earmark-train --init {path}, with activity.steps, as in "
            "configs/fine_tune.yaml",
        )
    return encoder


def _shrink(source: Path, target: Path, least_bits: int) -> None:
    """Write the small graphs of one folder into another, in as few bits a weight as may be."""
    for graph in ("head.onnx", "segmenter.onnx"):
        shrink_matrices(source / graph, target / graph, least_bits)


def export_windowed(encoder: Path, corpus_folder: Path, output: Path, cache: Path) -> None:
    """Write a model that is an ordinary encoder behind a window, in float32.

    Its odds are fitted on speakers of `train` held out, none of whom it is taken to know.
    """
    output = _checked(output)
    with _staged(output) as staging:
        spec = write_windowed(encoder, staging, output.name)
        write_spec(staging, spec)
        config = TrainConfig(data=DataConfig(lists=("train",), teachers=()))
        corpus = Corpus.open(corpus_folder, cache, config)
        speech = corpus.held_out_speech(HELD_OUT_RECORDINGS)
        spec = _calibrated(staging, spec, corpus, speech, set(speech[1]))
        write_windowed_card(
            staging,
            spec,
            encoder=encoder,
            corpora=", ".join(sorted(set(speech[2]))),
            origin=provenance(config),
        )
        _replace(output, staging)


def _calibrated(
    folder: Path, spec: ModelSpec, corpus: Corpus, speech: Speech, unheard: Set[str]
) -> ModelSpec:
    """The specification with odds fitted on `speech`, which the model in `folder` has then, too."""
    across, within, resemblance = fit_calibration(
        Model.load(folder), speech, unheard, shared_channels(corpus)
    )
    spec = msgspec.structs.replace(
        spec, across=across, calibration_within=within, resemblance=resemblance
    )
    write_spec(folder, spec)
    return spec


def _staging(output: Path) -> Path:
    """Where beside `output` that is made which may take its place."""
    return output.with_name(f".{output.name}.partial")


@contextmanager
def _staged(output: Path) -> Iterator[Path]:
    """That folder, empty, for this export alone; it is left if something is in it.

    Raises:
        EarmarkError: another export works in it.
    """
    staging = _staging(output)
    with _alone_in(staging, "--output"):
        for left in staging.iterdir():
            left.unlink()
        try:
            yield staging
        finally:
            if staging.is_dir() and not any(staging.iterdir()):
                staging.rmdir()


@contextmanager
def _alone_in(folder: Path, option: str) -> Iterator[None]:
    """No other export writes into a folder meanwhile; it is made if it is not there.

    Raises:
        EarmarkError: another does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder, 0.0):
            yield
    except BlockingIOError as error:
        raise EarmarkError(
            f"another export writes into {folder}", f"Wait for it, or give another {option}"
        ) from error


def _emptied(staging: Path) -> Path:
    shutil.rmtree(staging, ignore_errors=True)
    return staging


def _replace(output: Path, staging: Path) -> None:
    """Put what was made in the place of what is there, which is whole beside it till then."""
    old = _emptied(output.with_name(f".{output.name}.old"))
    if output.exists():
        output.rename(old)
    staging.rename(output)
    _emptied(old)


def _data(encoder_path: Path) -> DataConfig:
    """What the run was trained on, as stands beside its encoder; the usual if nothing does."""
    path, usual = encoder_path.parent / "provenance.json", DataConfig()
    try:
        begun = json.loads(path.read_text())["config"]["data"]
        lists, teachers = (tuple(map(str, begun[name])) for name in ("lists", "teachers"))
    except (OSError, ValueError, KeyError, TypeError):
        taken = f"taken to be {', '.join(usual.lists)}"
        print(f"{path} does not tell what {encoder_path} was trained on: {taken}", file=sys.stderr)
        return usual
    return DataConfig(lists=lists, teachers=teachers)


def _checked(output: Path) -> Path:
    """The folder in full, if the new model may take the place of what lies there.

    Raises:
        EarmarkError: that is something else than a model.
    """
    output = output.resolve()
    model = output.is_dir() and (not any(output.iterdir()) or (output / GRAPHS[0]).is_file())
    if output.exists() and not model:
        raise EarmarkError(
            f"{output} exists, and is no folder of a model", "Give another with --output"
        )
    return output


if __name__ == "__main__":
    sys.exit(main())
