"""Settings of a training run. A YAML file in configs/ overrides the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field

from train.augment import AugmentConfig
from train.encoder import EncoderConfig


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how crops are cut."""

    lists: tuple[str, ...] = ("train", "unlabelled")
    teachers: tuple[str, ...] = ("campplus", "resnet34")
    crop_seconds: tuple[float, float] = (1.0, 2.2)
    splice_probability: float = 0.2  # crops that begin in another voice, which is not pooled
    splice_frames: tuple[int, int] = (20, 60)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms; margin and scale of AAM-softmax (Deng et al., 2019)."""

    distillation: float = 1.0
    classification: float = 0.02
    margin: float = 0.2
    scale: float = 30.0


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with a warm-up and a cosine to zero; an average of the weights is what is exported."""

    steps: int = 10000
    batch: int = 48
    learning_rate: float = 3.0e-3
    warmup: int = 150
    weight_decay: float = 0.02
    clip_norm: float = 5.0
    ema_decay: float = 0.998


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run's result."""

    seed: int = 1
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
