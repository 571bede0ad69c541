"""Settings of a training run. A YAML file in configs/ overrides the defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from edge.errors import EarmarkError
from edge.statistics import TOKEN
from train.augment import AugmentConfig
from train.bounds import Count, NotNegative, Number, Positive, Probability, check_ranges
from train.encoder import EncoderConfig

Seconds = Annotated[float, Meta(ge=0.1)]  # of sound that frames can be made of


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how crops are cut."""

    lists: Annotated[tuple[str, ...], Meta(min_length=1)] = ("train", "unlabelled")
    teachers: tuple[str, ...] = ("campplus", "resnet34")
    whitened_targets: bool = False
    online_teachers: tuple[str, ...] = ()  # NAME.onnx of teachers that hear the changed voices
    kept_voices: Number = 0  # of each utterance: they hear these once; 0: each crop is a new one
    views: Count = 1  # crops of each utterance in a batch
    crop_seconds: tuple[Seconds, Seconds] = (1.0, 2.2)
    splice_probability: Probability = 0.2  # crops that begin in another voice, which is not pooled
    splice_frames: tuple[Number, Number] = (20, 60)  # the second is not drawn

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, named as in `train.losses`; zero leaves a term out."""

    distillation: NotNegative = 1.0
    relational: NotNegative = 0.0
    classification: NotNegative = 0.02
    contrastive: NotNegative = 0.0  # needs two views
    margin: Annotated[float, Meta(ge=0.0, le=math.pi)] = 0.2  # of the classification, radians
    margin_ramp_steps: Number = 0  # over which the margin grows from nothing
    sub_centres: Count = 1  # centres a speaker
    scale: Positive = 30.0
    temperature: Positive = 0.1  # of the contrastive term


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with a warm-up and a cosine to zero; an average of the weights is what is exported."""

    steps: Number = 10000
    batch: Annotated[int, Meta(ge=2)] = 48  # crops, on each device
    accumulate: Count = 1  # batches a step, on each device
    precision: Literal["no", "bf16", "auto"] = "no"  # mixed with float32; auto: if fast
    learning_rate: Positive = 3.0e-3
    warmup: Number = 150
    weight_decay: NotNegative = 0.02
    clip_norm: Positive = 5.0
    ema_decay: Probability = 0.998
    # Share of the mean variance added to each direction's, at the end.
    whitening_ridge: NotNegative = 0.2


@dataclass(frozen=True)
class ActivityConfig:
    """Mixtures with known truth, on which the activity outputs are trained; the trunk stays."""

    steps: Number = 0  # after the head's
    batch: Count = 24
    seconds: tuple[Seconds, Seconds] = (2.0, 4.0)
    nobody_probability: Probability = 0.15
    talk_probability: Probability = 0.5  # that somebody's speech is timed like a real meeting
    two_voices_probability: Probability = 0.75  # elsewhere
    part_probability: Probability = 0.4  # that a voice is heard there in a part of the span alone
    room_probability: Probability = 0.4
    voice_db: tuple[float, float] = (-10.0, 10.0)  # level of the second voice beside the first
    distant_probability: Probability = 0.3  # that somebody talks far away, who does not count
    distant_db: tuple[float, float] = (-35.0, -18.0)  # beside the first voice
    background_db: tuple[float, float] = (-50.0, -8.0)  # beside the first voice
    babble_snr_db: tuple[float, float] = (10.0, 25.0)  # below any voice that counts
    learning_rate: Positive = 3.0e-3

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class HeadConfig:
    """The head trained by itself, on sums of statistics, to tell speakers apart."""

    steps: Number = 0  # after the encoder's
    hearings: Count = 2  # of every utterance, each augmented otherwise
    longest_seconds: Positive = 8.0  # of an utterance
    batch: Count = 512  # crops
    crop_seconds: tuple[Positive, Positive] = (0.6, 6.0)  # their logarithm is drawn from uniformly
    # A head that leans on few moments feels their rounding to int8.
    moment_dropout: Probability = 0.15
    dropout: Probability = 0.7  # of the hidden layer
    learning_rate: Positive = 1.0e-3
    weight_decay: NotNegative = 0.02
    kept: Probability = 0.7  # of the change that all this makes

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class SegmenterConfig:
    """Talks with known truth, on which the network is trained that cuts segments."""

    steps: Number = 0  # after all others'
    talks: Count = 24000  # heard once; a step takes parts of some
    seconds: Seconds = 20.0  # of a talk
    batch: Count = 48  # parts of talks
    tokens: Annotated[int, Meta(ge=2)] = 50  # of a part, a fifth of a second each
    learning_rate: Positive = 1.0e-3
    weight_decay: NotNegative = 0.02


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run's result."""

    seed: Annotated[int, Meta(ge=0, lt=1 << 62)] = 1
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    activity: ActivityConfig = field(default_factory=ActivityConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def check(self) -> None:
        """See that settings fit each other; of one file of several, that cannot be told.

        Raises:
            EarmarkError: two do not.
        """
        encoder, data, loss, segmenter = self.encoder, self.data, self.loss, self.segmenter
        batch, shortest = self.optimiser.batch, data.crop_seconds[0]
        spliced = (data.splice_frames[1] + encoder.look_ahead) / 100
        most_tokens = 10 * segmenter.seconds / TOKEN
        taught = bool(data.teachers) and (loss.distillation or loss.relational)
        wrong = {
            f"encoder.stride is {encoder.stride}, expected 2 unless encoder.spectral is 0": (
                encoder.spectral and encoder.stride != 2
            ),
            f"encoder.stride is {encoder.stride}, expected 1, 2, 5 or 10": (
                encoder.frames_per_record % encoder.stride
            ),
            f"optimiser.batch is {batch}, expected data.views, {data.views}, or more": (
                batch < data.views
            ),
            f"loss.contrastive is {loss.contrastive:g}, expected 0 unless data.views is more than "
            "1": (loss.contrastive and data.views < 2),
            "nothing is to be learnt: expected loss.classification, or loss.contrastive, or with "
            "data.teachers loss.distillation or loss.relational to be more than 0": (
                self.optimiser.steps and not (taught or loss.classification or loss.contrastive)
            ),
            f"data.crop_seconds begins with {shortest:g}, expected more than {spliced:g}, up to "
            "which data.splice_frames and encoder.look_ahead reach": (
                data.splice_probability and shortest <= spliced
            ),
            f"segmenter.tokens is {segmenter.tokens}, expected {most_tokens:g} at most, which "
            "segmenter.seconds have": segmenter.tokens > most_tokens,
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                raise EarmarkError(what, "Correct one of the values")
