"""Settings of a training run. A YAML file in configs/ overrides the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from train.augment import AugmentConfig
from train.encoder import EncoderConfig


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how crops are cut."""

    lists: tuple[str, ...] = ("train", "unlabelled")
    teachers: tuple[str, ...] = ("campplus", "resnet34")
    whitened_targets: bool = False
    online_teachers: tuple[str, ...] = ()  # NAME.onnx of teachers that hear the changed voices
    views: Annotated[int, Meta(ge=1)] = 1  # crops of each utterance in a batch
    crop_seconds: tuple[float, float] = (1.0, 2.2)
    splice_probability: float = 0.2  # crops that begin in another voice, which is not pooled
    splice_frames: tuple[int, int] = (20, 60)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, named as in `train.losses`; zero leaves a term out."""

    distillation: float = 1.0
    relational: float = 0.0
    classification: float = 0.02
    contrastive: float = 0.0  # needs two views
    margin: float = 0.2  # of the classification, radians
    margin_ramp_steps: int = 0  # over which the margin grows from nothing
    sub_centres: Annotated[int, Meta(ge=1)] = 1  # centres a speaker
    scale: float = 30.0
    temperature: float = 0.1  # of the contrastive term


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with a warm-up and a cosine to zero; an average of the weights is what is exported."""

    steps: int = 10000
    batch: int = 48  # crops, on each device
    accumulate: Annotated[int, Meta(ge=1)] = 1  # batches a step, on each device
    precision: Literal["no", "bf16", "auto"] = "no"  # mixed with float32; auto: if fast
    learning_rate: float = 3.0e-3
    warmup: int = 150
    weight_decay: float = 0.02
    clip_norm: float = 5.0
    ema_decay: float = 0.998
    whitening_ridge: float = 0.2  # share of the mean variance added to each direction's, at the end


@dataclass(frozen=True)
class ActivityConfig:
    """Mixtures with known truth, on which the activity outputs are trained; the trunk stays."""

    steps: int = 0  # after the encoder's; in the last stage of a recipe
    batch: int = 24
    seconds: tuple[float, float] = (2.0, 4.0)
    nobody_probability: float = 0.15
    talk_probability: float = 0.5  # that somebody's speech is timed like a real meeting
    two_voices_probability: float = 0.75  # elsewhere
    part_probability: float = 0.4  # that a voice is heard there in a part of the span alone
    room_probability: float = 0.4
    voice_db: tuple[float, float] = (-10.0, 10.0)  # level of the second voice beside the first
    distant_probability: float = 0.3  # that somebody talks far away, who does not count
    distant_db: tuple[float, float] = (-35.0, -18.0)  # beside the first voice
    background_db: tuple[float, float] = (-50.0, -8.0)  # beside the first voice
    babble_snr_db: tuple[float, float] = (10.0, 25.0)  # below any voice that counts
    learning_rate: float = 3.0e-3


@dataclass(frozen=True)
class HeadConfig:
    """The head trained by itself, on sums of statistics, to tell speakers apart."""

    steps: int = 0  # after the encoder's; in the last stage of a recipe
    hearings: Annotated[int, Meta(ge=1)] = 2  # of every utterance, each augmented otherwise
    longest_seconds: float = 8.0  # of an utterance
    batch: int = 512  # crops
    crop_seconds: tuple[float, float] = (0.6, 6.0)  # their logarithm is drawn from uniformly
    moment_dropout: float = 0.15  # a head that leans on few moments feels their rounding to int8
    dropout: float = 0.7  # of the hidden layer
    learning_rate: float = 1.0e-3
    weight_decay: float = 0.02
    kept: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.7  # of the change that all this makes


@dataclass(frozen=True)
class SegmenterConfig:
    """Talks with known truth, on which the network is trained that cuts segments."""

    steps: int = 0  # after the head's; in the last stage of a recipe
    talks: Annotated[int, Meta(ge=1)] = 24000  # heard once; a step takes parts of some
    seconds: float = 20.0  # of a talk
    batch: int = 48  # parts of talks
    tokens: int = 50  # of a part
    learning_rate: float = 1.0e-3
    weight_decay: float = 0.02


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run's result."""

    seed: int = 1
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    activity: ActivityConfig = field(default_factory=ActivityConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
