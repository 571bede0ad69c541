"""Training of the network that cuts segments where the voice changes; the encoder stays as it is.

What the encoder makes of talks is kept, so that parts of them, seen many times, cost nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import Progress, track
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Subset

from edge.errors import EarmarkError
from edge.segmenter import as_tokens
from edge.statistics import TOKEN, surroundings
from edge.whole_file import replacing
from train.config import TrainConfig
from train.corpus import Corpus
from train.encoder import Encoder, FramesGraph
from train.layers import ACTIVITIES
from train.loader import in_order
from train.metrics import roc_auc
from train.optimiser import descend, parameter_groups, warm_half_cosine
from train.talks import Talk, Talks
from train.turn_taking import SEATS

PART = 500  # talks in a file
MEASURED = 300  # talks of voices held out
WARMUP = 50  # steps
CLEAR = 0.5  # of a token, in which somebody who counts as its speaker speaks


class HeardTalk(NamedTuple):
    """The speech of a talk: its tokens (tokens, inputs), and who speaks in each (tokens, SEATS)."""

    tokens: NDArray[np.float16]
    speakers: NDArray[np.bool_]


def train_segmenter(
    encoder: Encoder, config: TrainConfig, corpus: Corpus, folder: Path, workers: int
) -> list[float]:
    """Train `encoder.segmenter` in place; nothing else changes. Returns the loss of each step.

    What the encoder makes of the talks is kept in `folder`, part by part: after a stop, none that
    is whole is made again.

    Raises:
        EarmarkError: the encoder hears too little speech in each of them.
    """
    settings, device = config.segmenter, encoder.input_mean.device
    encoder.eval()  # the normalisations of the trunk keep their statistics
    talks = hear(encoder, Talks(config, corpus, settings.talks, held_out=False), folder, workers)
    long = [talk for talk in talks if len(talk.tokens) >= settings.tokens]
    if not long:
        most = max(len(talk.tokens) for talk in talks)
        raise EarmarkError(
            f"segmenter.tokens is {settings.tokens}, expected {most} at most: the encoder hears no "
            f"more speech in a talk of {settings.seconds:g} s",
            "Lower it, or raise segmenter.seconds, in another folder with --run",
        )
    torch.manual_seed(config.seed)
    random = np.random.default_rng([config.seed, settings.steps])
    segmenter = encoder.segmenter.train()
    optimiser = torch.optim.AdamW(parameter_groups([segmenter], settings.weight_decay))
    losses = []
    for step in track(range(settings.steps), "segmenter"):
        parts = [_part(long, settings.tokens, random) for _ in range(settings.batch)]
        tokens, speakers = (torch.from_numpy(np.stack(rows)) for rows in zip(*parts, strict=True))
        loss = pair_loss(segmenter(tokens.float().to(device)), speakers.to(device))
        rate = warm_half_cosine(settings.learning_rate, step, settings.steps, WARMUP)
        losses.append(descend(optimiser, loss, rate, step))
    encoder.eval()
    return losses


def measure_segmenter(
    encoder: Encoder, config: TrainConfig, corpus: Corpus, folder: Path, workers: int
) -> dict[str, float]:
    """How well pairs of tokens are told apart in talks of the voices held out.

    Raises:
        EarmarkError: the encoder hears too little speech in them.
    """
    talks = Talks(config, corpus, MEASURED, held_out=True)
    odds, truths = [], []
    for talk in hear(encoder, talks, folder / "held_out", workers):
        if len(talk.tokens):
            with torch.inference_mode():
                tokens = torch.from_numpy(talk.tokens).float().to(encoder.input_mean.device)
                log_odds = encoder.segmenter(tokens[None])[0].cpu().numpy()
            same, clear = pairs(torch.from_numpy(talk.speakers[None]))
            odds.append(log_odds[clear[0].numpy()])
            truths.append(same[0].numpy()[clear[0].numpy()])
    if len({*np.concatenate([*truths, np.empty(0, bool)])}) < 2:
        raise EarmarkError(
            "the encoder hears too little speech in talks of those held out",
            "See that its speech outputs are trained, or raise segmenter.seconds",
        )
    return {"one_voice_auc": roc_auc(np.concatenate(odds), np.concatenate(truths))}


def pairs(speakers: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs of tokens are one voice's, and which are of two clear ones.

    Args:
        speakers: who speaks in each token (batch, tokens, SEATS).

    Returns:
        Two masks (batch, tokens, tokens). A token is clear where one speaks alone; none is a pair
        with itself.
    """
    alone = speakers.sum(dim=2) == 1
    voice = speakers.int().argmax(dim=2)
    same = voice[:, :, None] == voice[:, None]
    others = ~torch.eye(speakers.shape[1], dtype=torch.bool, device=speakers.device)
    return same, alone[:, :, None] & alone[:, None] & others


def pair_loss(log_odds: Tensor, speakers: Tensor) -> Tensor:
    """Cross entropy of clear pairs; one voice and two weigh alike in each talk."""
    same, clear = pairs(speakers)
    terms = functional.binary_cross_entropy_with_logits(
        log_odds, same.to(log_odds.dtype), reduction="none"
    )
    kinds = ((clear & same), (clear & ~same))
    means = [(terms * kind).sum(dim=(1, 2)) / kind.sum(dim=(1, 2)).clamp(min=1) for kind in kinds]
    return torch.stack(means).sum(dim=0).mean()


def hear(encoder: Encoder, talks: Talks, folder: Path, workers: int) -> list[HeardTalk]:
    """What the encoder makes of the talks; made on first use."""
    folder.mkdir(parents=True, exist_ok=True)
    heard: list[HeardTalk] = []
    with Progress() as progress:
        task = progress.add_task("hearing talks", total=len(talks))
        for begin in range(0, len(talks), PART):
            numbers = range(begin, min(begin + PART, len(talks)))
            path = folder / f"{begin}.npz"
            if not path.is_file():
                part = []
                for talk in in_order(Subset(talks, numbers), workers, ahead=8):
                    part.append(_hear(encoder, talk))
                    progress.advance(task)
                _write(path, part)
            heard += _read(path)
            progress.update(task, completed=numbers.stop)
    return heard


def _hear(encoder: Encoder, talk: Talk) -> HeardTalk:
    with torch.inference_mode():
        fbank = talk.fbank.to(encoder.input_mean.device)
        records = FramesGraph(encoder)(fbank, encoder.initial_state(1))[0][0].double().cpu()
        speech = (records[:, -ACTIVITIES] >= CLEAR * records[:, 0]).numpy()
        totals = records[speech].cumsum(dim=0).numpy()
        around = surroundings(totals) if speech.any() else np.empty((0, 0, records.shape[1]))
        rows = torch.from_numpy(around.reshape(-1, records.shape[1])).float()
        embeddings = encoder.head(rows.to(fbank.device)).double().cpu().numpy()
    count = int(speech.sum()) // TOKEN
    tokens = as_tokens(embeddings, count) if count else np.empty((0, encoder.segmenter.inputs))
    spoken = talk.speakers.numpy()[speech][: TOKEN * count].reshape(count, TOKEN, SEATS)
    return HeardTalk(tokens.astype(np.float16), spoken.mean(axis=1) >= CLEAR)


def _part(talks: list[HeardTalk], tokens: int, random: Generator) -> HeardTalk:
    """So many tokens in a row of a random talk."""
    talk = talks[int(random.integers(len(talks)))]
    first = int(random.integers(len(talk.tokens) - tokens + 1))
    span = slice(first, first + tokens)
    return HeardTalk(talk.tokens[span], talk.speakers[span])


def _write(path: Path, talks: list[HeardTalk]) -> None:
    tokens, speakers = (np.concatenate(rows) for rows in zip(*talks, strict=True))
    ends = np.cumsum([len(talk.tokens) for talk in talks])
    with replacing(path) as partial:
        np.savez(partial, tokens=tokens, speakers=speakers, ends=ends)


def _read(path: Path) -> list[HeardTalk]:
    with np.load(path) as stored:
        ends = stored["ends"][:-1]
        tokens, speakers = (np.split(stored[name], ends) for name in ("tokens", "speakers"))
    return [HeardTalk(*rows) for rows in zip(tokens, speakers, strict=True)]
