"""What each choice of the recipe buys: small encoders that differ in one thing, side by side.

    python -m train.ablation --corpus ../shared/corpus

Each is trained for the same few steps from the same seed, and judged by the EER on speakers held
out from the training side. So few steps tell what is learnt soon, not where it ends.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from edge.config_file import merged, parse_config
from edge.errors import FAILED, INTERRUPTED, EarmarkError
from train.config import TrainConfig
from train.corpus import Corpus
from train.encoder import Encoder
from train.trainer import Trainer
from train.trials import crop_embedder, verification_errors

SECONDS = (8.0, 3.0, 1.5)
STEPS = 600
BASE: dict[str, Any] = {
    "seed": 5,
    "encoder": {
        "channels": 128,
        "features": 192,
        "attention": 32,
        "head_hidden": 64,
        "activity": 64,
    },
    "data": {"whitened_targets": True, "crop_seconds": [1.0, 2.6]},
    "augment": {"ramp_steps": 0, "room_probability": 0.1, "noise_probability": 0.2},
    "loss": {"relational": 3.0, "classification": 0.04},
    "optimiser": {"warmup": 60, "ema_decay": 0.98},
}
NO_ATTENTION = "all frames weigh the same"
CHOICES: dict[str, dict[str, Any]] = {
    "the recipe, tiny": {},
    NO_ATTENTION: {},  # no setting of the recipe
    "no convolutions over mels": {"encoder": {"spectral": 0}},
    "the same, a frame each 10 ms": {"encoder": {"spectral": 0, "stride": 1}},
    "causal mean normalisation": {"encoder": {"mean_frames": 250}},
    "CAM++ as the only teacher": {"data": {"teachers": ["campplus"]}},
    "ResNet34 as the only teacher": {"data": {"teachers": ["resnet34"]}},
    "targets not whitened": {"data": {"whitened_targets": False}},
    "no relational loss": {"loss": {"relational": 0.0}},
    "no speaker labels": {"loss": {"classification": 0.0}},
    "no teacher": {"data": {"teachers": []}, "loss": {"classification": 1.0}},
}


@dataclass(frozen=True)
class Row:
    """One choice: its size and its EER (%) by `SECONDS`."""

    choice: str
    parameters: int
    eer: tuple[float, ...]


def run_choice(choice: str, steps: int, corpus_folder: Path, output: Path) -> Row:
    """Train the encoder of one choice, or go on where that was stopped, and judge it."""
    values = merged(merged(BASE, CHOICES[choice]), {"optimiser": {"steps": steps}})
    config = parse_config(TrainConfig, values, choice)
    corpus = Corpus.open(corpus_folder, output.parent / "cache", config)
    name = choice.replace(" ", "-").replace(",", "").replace("+", "p")
    trainer = Trainer(config, corpus, output / name, workers=1)
    if choice == NO_ATTENTION:
        fix_weights(trainer.encoder)
    with trainer.alone():
        encoder = trainer.train()
    return Row(choice, sum(p.numel() for p in encoder.parameters()), judge(encoder, corpus))


def fix_weights(encoder: Encoder) -> None:
    """Let every frame weigh one half, for good."""
    for parameter in encoder.attend_out.parameters():
        parameter.requires_grad = False
        parameter.data.zero_()


def judge(encoder: Encoder, corpus: Corpus) -> tuple[float, ...]:
    """EER (%) on the held-out speakers, by `SECONDS` of their recordings."""
    audios, speakers = corpus.held_out_trials()
    embed = crop_embedder(encoder)
    return tuple(100 * verification_errors(audios, speakers, embed, s)[0] for s in SECONDS)


def table(rows: Sequence[Row], steps: int) -> Table:
    """The rows, for people."""
    result = Table("choice", "parameters", *(f"EER {s:g} s" for s in SECONDS))
    result.title = f"after {steps} steps, speakers held out, %"
    for row in rows:
        cells = (f"{eer:.2f}" for eer in row.eer)
        result.add_row(row.choice, f"{row.parameters / 1e6:.2f} M", *cells)
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.ablation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--corpus", type=Path, required=True, help="folder with train.csv")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"), help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (%(default)s)")
    args = parser.parse_args(argv)
    if args.threads < 1:
        parser.error(f"--threads is {args.threads}, expected 1 or more")
    torch.set_num_threads(args.threads)
    rows = []
    try:
        for choice in CHOICES:
            print(choice, file=sys.stderr)
            rows.append(run_choice(choice, args.steps, args.corpus, args.output))
            Console().print(table(rows[-1:], args.steps))
    except (EarmarkError, OSError) as error:
        print(f"train.ablation: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    Console().print(table(rows, args.steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
