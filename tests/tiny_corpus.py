"""A corpus of seconds in the form of the real one, and encoders small enough for a test."""

from __future__ import annotations

import csv
from itertools import count, islice
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from edge._native import Fbank, FbankOptions
from edge.config_file import load_config
from edge.rttm import read_rttm
from train.augment import AugmentConfig
from train.batches import Batches
from train.config import TrainConfig
from train.corpus import UNHEARD_SHARE, Corpus
from train.encoder import Encoder, EncoderConfig, split_level
from train.kept_voices import KeptVoices
from train.manifest import COLUMNS, is_held_out
from train.teacher import OnlineTarget

ASSETS = Path(__file__).resolve().parents[1] / "edge" / "assets"
RATE = 16000
TEACHERS = {"campplus": 12, "resnet34": 20}
SHAPE = EncoderConfig(
    spectral=2,
    channels=16,
    kernel=3,
    dilations=(1, 2),
    features=16,
    attention=8,
    activity=6,
    activity_dilations=(1, 2),
    head_hidden=12,
    embedding=8,
    segmenter=8,
)
YAML = """
encoder:
  {spectral: 2, channels: 16, kernel: 3, dilations: [1, 2], features: 16, attention: 8,
   activity: 6, activity_dilations: [1, 2], head_hidden: 12, embedding: 8, segmenter: 8}
data: {crop_seconds: [1.0, 1.3]}
augment: {rooms: {count: 2}}
optimiser: {steps: 6, batch: 4, warmup: 2}
activity: {steps: 4, batch: 4}
segmenter: {steps: 4, talks: 4, seconds: 6.0, batch: 4, tokens: 10}
"""

CLEAN = AugmentConfig(  # voices as they are, at one level
    room_probability=0.0,
    noise_probability=0.0,
    babble_probability=0.0,
    telephone_probability=0.0,
    clipping_probability=0.0,
    level_db=(-26.0, -26.0),
    equaliser_db=0.0,
    mel_mask=0,
    time_mask=0,
)

Audio = NDArray[np.float32]
torch.set_num_threads(1)


def conversation() -> Audio:
    """The bundled conversation."""
    samples, rate = soundfile.read(ASSETS / "conversation.flac", dtype="float32")
    assert rate == RATE
    audio: Audio = samples
    return audio


def speaker_names(number: int, *, held_out: bool) -> list[str]:
    """Names that the split puts on the wanted side; those held out are unheard by any stage."""
    names = (f"common_voice/{i:04}" for i in count())
    share = (UNHEARD_SHARE,) if held_out else ()
    return list(islice((name for name in names if is_held_out(name, *share) == held_out), number))


def build_corpus(folder: Path) -> Path:
    """Eight training and four held-out speakers, all of them the conversation's, retuned."""
    folder.mkdir(parents=True)
    audio, truth = conversation(), read_rttm(ASSETS / "conversation.rttm")
    turns: dict[str, list[Audio]] = {}
    for turn in truth:
        piece = audio[int(turn.start * RATE) : int(turn.end * RATE)]
        turns.setdefault(turn.speaker, []).append(piece)
    voices = sorted(turns)

    train = []
    for i, name in enumerate(speaker_names(8, held_out=False)):
        faster = (0.84, 1.19)[i // len(voices)]
        train += [(name, _retuned(turn, faster)) for turn in turns[voices[i % len(voices)]][:2]]
    for voice, name in zip(voices, speaker_names(4, held_out=True), strict=True):
        train += [(name, turn) for turn in turns[voice]]
    unlabelled = [("", _retuned(turns[voice][2], 1.1)) for voice in voices]

    random = np.random.default_rng(5)
    for stem, utterances in (("train", train), ("unlabelled", unlabelled)):
        _write_list(folder, stem, utterances)
        (folder / "teachers").mkdir(exist_ok=True)
        for teacher, size in TEACHERS.items():
            rows = random.standard_normal((len(utterances), size))
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            np.save(folder / "teachers" / f"{stem}.{teacher}.npy", rows.astype(np.float16))
    (folder / "noise").mkdir()
    (folder / "rir").mkdir()
    (folder / "turns" / "ami").mkdir(parents=True)
    (folder / "turns" / "ami" / "conversation.rttm").write_text(
        (ASSETS / "conversation.rttm").read_text()
    )
    for name, seconds in (("noise/hiss", 2.0), ("noise/click", 0.02), ("rir/room", 0.2)):
        samples = random.standard_normal(int(seconds * RATE))
        samples *= np.exp(-np.arange(len(samples)) / (seconds * RATE / 8)) * 0.3
        soundfile.write(folder / f"{name}.wav", samples, RATE)
    return folder


def tiny_config(folder: Path) -> Path:
    """A YAML file for `earmark-train`: six steps of a tiny encoder."""
    path = folder / "tiny.yaml"
    path.write_text(YAML)
    return path


def open_corpus(folder: Path) -> tuple[TrainConfig, Corpus]:
    """The tiny corpus, built and opened, with its settings."""
    corpus = build_corpus(folder / "corpus")
    config = load_config(TrainConfig, tiny_config(folder))
    return config, Corpus.open(corpus, folder / "cache", config)


def batches_of(
    config: TrainConfig,
    corpus: Corpus,
    online: OnlineTarget | None = None,
    kept: KeptVoices | None = None,
) -> Batches:
    """The corpus as training batches."""
    return Batches(
        config,
        utterances=corpus.train,
        indices=corpus.train_indices,
        waveforms=corpus.waveforms,
        targets=corpus.targets,
        augmenter=corpus.augmenter(config.augment),
        online=online,
        kept=kept,
    )


def settled_encoder(seed: int) -> Encoder:
    """Random weights, with the normalisations as training would leave them on real speech."""
    torch.manual_seed(seed)
    encoder = Encoder(SHAPE)
    frames = torch.from_numpy(Fbank(FbankOptions()).push(conversation()))
    inputs = split_level(frames)
    encoder.input_mean.copy_(inputs.mean(dim=0))
    encoder.input_std.copy_(inputs.std(dim=0))
    torch.manual_seed(seed)
    for module in encoder.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
            module.momentum = None  # plain averages instead of moving ones
    crops = frames[: len(frames) // 200 * 200].unflatten(0, (-1, 200))
    with torch.no_grad():
        encoder.train()(crops)
        encoder.eval().activity.train()
        encoder.frames(crops, encoder.initial_state(len(crops)))
    return encoder.eval()


def _retuned(audio: Audio, faster: float) -> Audio:
    retuned: Audio = soxr.resample(audio, RATE * faster, RATE)
    return retuned


def _write_list(folder: Path, stem: str, utterances: list[tuple[str, Audio]]) -> None:
    (folder / stem).mkdir()
    with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as output:
        writer = csv.writer(output)
        writer.writerow(COLUMNS)
        for i, (speaker, audio) in enumerate(utterances):
            path = f"{stem}/{i:03}.flac"
            soundfile.write(folder / path, audio, RATE)
            seconds = round(len(audio) / RATE, 3)
            writer.writerow([path, speaker, "common_voice", seconds, "CC0", "en", RATE])
