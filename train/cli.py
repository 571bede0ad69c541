"""`earmark-train`: make an encoder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

try:
    import torch
except ModuleNotFoundError:
    sys.exit(
        "earmark-train: torch is not installed. Run: pip install '.[train]' in the folder of "
        "Earmark's sources"
    )
import numpy as np

from edge.config_file import load_config
from edge.errors import FAILED, INTERRUPTED, EarmarkError
from edge.whole_file import write_whole
from train.activity import measure_activity, mixtures, train_activity
from train.config import TrainConfig
from train.corpus import Corpus
from train.encoder import Encoder
from train.encoder_file import load_encoder, save_encoder
from train.growth import grow
from train.head import train_head
from train.hearings import check_labels
from train.lists import FOLDER
from train.precision import resolved
from train.run_folder import RunFolder
from train.segmentation import measure_segmenter, train_segmenter
from train.talks import Talks
from train.trainer import Trainer

EPILOG = """\
examples:
  earmark-train --corpus ../shared/corpus --run runs/small
  earmark-train --corpus ../shared/corpus --run runs/tiny --config configs/tiny.yaml
  earmark-train --corpus mine --run runs/mine --init train/weights/small.pt --config mine.yaml
  torchrun --nproc_per_node 4 -m -- train.cli --corpus ../shared/corpus --run runs/small

The corpus is train.csv, train/SPEAKER/*.flac or a Kaldi folder train/; beside it are noise/, rir/
and turns/ami/*.rttm, as far as the settings make use of them. One of your own, without embeddings
of teachers, wants  data: {lists: [train], teachers: []}  in the configuration.

The folder of the run holds everything: encoder.pt for the export; train.csv, validation.csv and
curves.png of the encoder; stages/*.json, what was measured of the stages after it. Stopped or
killed, the same command goes on from what was saved last: that is on Ctrl-C, every few minutes and
at the end of each stage. train/config.py has all settings, and 'make train' all stages of the
shipped encoders.

exit status: 0 all went well; 1 something is wrong outside the program, told in one line;
2 the command line is wrong; 130 interrupted"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="earmark-train",
        description="Trains a streaming speaker encoder by distillation and speaker labels.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, required=True, help=FOLDER)
    parser.add_argument("--run", type=Path, required=True, help="folder of this run")
    parser.add_argument("--config", type=Path, help="YAML that overrides the defaults")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--init",
        type=Path,
        help="encoder.pt of another run, whose shape and weights a new run begins with",
    )
    begin.add_argument(
        "--grow",
        type=Path,
        help="encoder.pt of a narrower encoder, whose function a new run begins with",
    )
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes (default 1)")
    return parser


class Stage(NamedTuple):
    """What follows the encoder's own training: each changes a part of it in place."""

    name: str
    check: Callable[[], object]  # raises EarmarkError if the corpus has not what it is trained on
    train: Callable[[Encoder], object]
    measure: Callable[[Encoder], dict[str, float]]


def _stages(trainer: Trainer, workers: int) -> list[Stage]:
    """The stages for which the settings have steps."""
    config, corpus, talks = trainer.config, trainer.corpus, trainer.run.talks
    head = Stage(
        "head",
        lambda: check_labels(corpus),
        lambda encoder: train_head(encoder, config, corpus, trainer.run.hearings, workers),
        trainer.validate,
    )
    activity = Stage(
        "activity",
        lambda: mixtures(config, corpus, held_out=False),
        lambda encoder: train_activity(
            encoder, config, corpus, trainer.run.activity_checkpoint, workers
        ),
        lambda encoder: asdict(measure_activity(encoder, config, corpus)),
    )
    segmenter = Stage(
        "segmenter",
        lambda: Talks(config, corpus, config.segmenter.talks, held_out=False),
        lambda encoder: train_segmenter(encoder, config, corpus, talks, workers),
        lambda encoder: measure_segmenter(encoder, config, corpus, talks, workers),
    )
    settings = ((head, config.head), (activity, config.activity), (segmenter, config.segmenter))
    return [stage for stage, of_stage in settings if of_stage.steps]


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    for name, least in (("threads", 1), ("workers", 0)):
        if getattr(args, name) < least:
            parser.error(f"--{name} is {getattr(args, name)}, expected {least} or more")
    torch.set_num_threads(args.threads)
    try:
        _check_folder(args.run)
        config = resolved(load_config(TrainConfig, args.config))
        torch.manual_seed(config.seed)
        initial = None
        if args.init:
            initial = load_encoder(args.init)
            config = replace(config, encoder=initial.config)
        elif args.grow:
            initial = grow(load_encoder(args.grow), config.encoder)
        elif not config.optimiser.steps:
            raise EarmarkError(
                "optimiser.steps is 0, and there is no encoder to go on with",
                "Give one with --init or --grow",
            )
        config.check()
        _check_speech_outputs(config, initial)
        if missing := _missing_stages(config, initial):
            print(missing, file=sys.stderr)  # before the hours that it may take
        corpus = Corpus.open(args.corpus, args.run.parent / "cache", config)
        _check_lesson(config, corpus)
        trainer = Trainer(config, corpus, args.run, args.workers, initial)
        stages = _stages(trainer, args.workers)
        for stage in stages:  # before hours of those ahead of it
            stage.check()
        with trainer.alone():
            encoder = trainer.train()
            if not trainer.accelerator.is_main_process:
                return 0
            outcome = _finish(encoder, trainer.run, stages)
    except EarmarkError as error:
        print(f"earmark-train: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        remedy = f"See that {args.run} can be written and has room"
        print(f"earmark-train: {error}. {remedy}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on from {args.run}", file=sys.stderr)
        return INTERRUPTED
    print(f"{outcome}{_what_next(encoder, trainer.run.encoder, missing)}")
    return 0


def _finish(encoder: Encoder, run: RunFolder, stages: list[Stage]) -> str:
    """Run the stages that have not come to their end yet; returns what there is to say of it."""
    finished = [stage for stage in stages if run.stage(stage.name).is_file()]
    for stage in stages:
        path = run.stage(stage.name)
        if stage in finished:
            encoder.load_state_dict(load_encoder(path).state_dict())
        else:
            stage.train(encoder)
            save_encoder(encoder, path)
        if not run.figures(stage.name).is_file():
            _tell(partial(stage.measure, encoder), run.figures(stage.name))
    if finished == stages and run.encoder.is_file():
        return "already finished"
    save_encoder(encoder, run.encoder)
    return "done"


def _check_speech_outputs(config: TrainConfig, initial: Encoder | None) -> None:
    """Raise if the network that cuts segments would hear speech where there is none."""
    trained = initial is not None and initial.activity.trained
    if config.segmenter.steps and not config.activity.steps and not trained:
        raise EarmarkError(
            "segmenter.steps is more than 0, and the encoder's speech outputs, by which the "
            "network that cuts segments hears speech alone, were never trained",
            "Train them before, or with it: activity.steps",
        )


def _check_lesson(config: TrainConfig, corpus: Corpus) -> None:
    """Raise if one speaker is all that there is to train on, and no other lesson."""
    of_teachers = config.loss.distillation or config.loss.relational
    taught = of_teachers and np.isfinite(corpus.targets[corpus.train_indices]).any()
    speakers = {u.speaker for u in corpus.train} - {""}
    alone = not taught and not config.loss.contrastive and len(speakers) < 2
    if alone and config.optimiser.steps:
        only = min(speakers, default="nobody")
        raise EarmarkError(
            f"{only} is the only speaker to train on, expected others to be told from",
            "Name more speakers: 15 % of them, by their names, are held out",
        )


def _what_next(encoder: Encoder, path: Path, missing: str) -> str:
    """What to do with the encoder that a run made."""
    if not encoder.activity.trained:
        return (
            ", but for the speech and overlap outputs: train them (activity.steps) in another run "
            f"with  --init {path}"
        )
    if missing:
        return f". {missing}. Train it in another run with  --init {path}"
    return f": export it with  earmark-export {path}"


def _missing_stages(config: TrainConfig, initial: Encoder | None) -> str:
    """What the later stages trained of an encoder that is trained on without them, if anything."""
    if initial is None or not initial.activity.trained or not config.optimiser.steps:
        return ""
    stages = (("activity", config.activity), ("segmenter", config.segmenter))
    names = " and ".join(f"{name}.steps" for name, settings in stages if not settings.steps)
    stays = "would train, stays as it was behind the encoder of before, and fits the new one less"
    return names and f"what {names} {stays}"


def _check_folder(run: Path) -> None:
    """Raise if the folder of the run cannot be made, since a file is in its place."""
    there = next(path for path in (run, *run.parents) if path.exists())
    if not there.is_dir():
        raise EarmarkError(f"{there} is a file, expected a folder", "Give another with --run")


def _tell(measure: Callable[[], dict[str, float]], path: Path) -> None:
    """Print and write what is measured; where the speakers held out do not suffice, print that."""
    try:
        measured = measure()
    except EarmarkError as error:
        print(f"not measured: {error}", file=sys.stderr)
        return
    for name, value in measured.items():
        print(f"{name:18} {value:.3f}")
    write_whole(path, json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
