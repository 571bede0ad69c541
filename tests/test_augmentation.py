"""Risk: training data that cannot be made again, or that are not numbers."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_corpus import batches_of, conversation, open_corpus

from train.augment import AugmentConfig, Augmenter, _convolve, band_limited, mix, telephone
from train.batches import Batch
from train.config import TrainConfig
from train.corpus import Corpus
from train.manner import MannerConfig
from train.waveforms import Waveforms

Audio = NDArray[np.float32]
ALWAYS = AugmentConfig(
    manner=MannerConfig(pitch_probability=0.5, whisper_probability=0.5),
    room_probability=1.0,
    noise_probability=0.5,
    babble_probability=0.5,
    telephone_probability=1.0,
    band_probability=1.0,
    clipping_probability=1.0,
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Corpus]:
    return open_corpus(tmp_path_factory.mktemp("opened"))


def assert_same(first: Batch, second: Batch) -> None:
    for field in fields(Batch):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name)), field.name


def test_a_batch_depends_on_seed_and_step_alone(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    forward = batches_of(config, corpus)
    expected = [forward[i] for i in range(6)]
    backward = batches_of(config, corpus)
    for i in reversed(range(6)):
        assert_same(backward[i], expected[i])
        assert_same(backward[i], expected[i])  # asked for twice
    other = batches_of(replace(config, seed=2), corpus)[0]
    assert other.fbank.shape != expected[0].fbank.shape or not torch.equal(
        other.fbank, expected[0].fbank
    )


def test_a_batch_is_what_training_expects(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    batches = batches_of(config, corpus)
    assert len(batches) == config.optimiser.steps
    for i in range(6):
        batch = batches[i]
        size, time, mels = batch.fbank.shape
        assert (size, mels) == (4, 80)
        assert 100 <= time <= 130
        assert batch.mask.shape == (4, time // config.encoder.stride)
        assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}
        assert (batch.mask.sum(dim=1) > 10).all()
        assert torch.isfinite(batch.fbank).all()
        np.testing.assert_allclose(batch.targets.norm(dim=1), 1.0, atol=1e-5)
        assert (batch.labels >= -1).all()  # -1: speech without a speaker
        assert (batch.labels < 8).all()


def test_a_splice_may_be_shorter_than_a_frame(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    data = replace(config.data, splice_probability=1.0, splice_frames=(0, 2))
    batch = batches_of(replace(config, data=data), corpus)[0]
    assert batch.fbank.isfinite().all()
    assert batch.mask.any()


@pytest.mark.parametrize("count", [1, 2, 160, 400, 16000])
@pytest.mark.parametrize("kind", ["silent", "clipped", "impulse", "offset", "tiny", "speech"])
def test_no_input_makes_numbers_bad_or_changes_its_length(
    opened: tuple[TrainConfig, Corpus], kind: str, count: int
) -> None:
    corpus = opened[1]
    augmenter = corpus.augmenter(ALWAYS)
    audio = {
        "silent": np.zeros(count),
        "clipped": np.sign(np.sin(np.arange(count) + 0.5)),
        "impulse": np.eye(1, count)[0],
        "offset": np.ones(count),
        "tiny": np.full(count, 1e-30),
        "speech": conversation()[16000 : 16000 + count],
    }[kind].astype(np.float32)
    before = audio.copy()
    for seed in range(6):
        out = augmenter.waveform(audio, np.random.default_rng(seed))
        assert out.shape == (count,)
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 1.0
    np.testing.assert_array_equal(audio, before)


def test_silent_noises_rooms_and_voices_are_borne(opened: tuple[TrainConfig, Corpus]) -> None:
    silence = Waveforms(np.zeros(900, dtype=np.int16), np.array([0, 100, 900]))
    augmenter = Augmenter(ALWAYS, silence, silence, silence, np.arange(len(silence)))
    audio = conversation()[:8000]
    for seed in range(12):
        assert np.isfinite(augmenter.waveform(audio, np.random.default_rng(seed))).all()


@pytest.mark.parametrize("frames", [1, 2, 9, 10, 11, 100])
def test_masking_and_colouring_keep_the_shape_of_any_crop(
    opened: tuple[TrainConfig, Corpus], frames: int
) -> None:
    corpus = opened[1]
    augmenter = corpus.augmenter(AugmentConfig())
    fbank = np.random.default_rng(0).normal(-8.0, 2.0, (frames, 80)).astype(np.float32)
    for seed in range(20):
        out = augmenter.features(fbank.copy(), np.random.default_rng(seed))
        assert out.shape == fbank.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.5, 30.0])
def test_noise_is_mixed_in_at_the_ratio_asked_for(snr_db: float) -> None:
    random = np.random.default_rng(3)
    voice = conversation()[16000:48000]
    noise = (random.standard_normal(len(voice)) * 0.003).astype(np.float32)
    added = mix(voice, noise, snr_db) - voice
    ratio = 10.0 * np.log10(np.mean(voice**2) / np.mean(added**2))
    assert ratio == pytest.approx(snr_db, abs=0.05)


def test_level_is_set_within_the_range_asked_for(opened: tuple[TrainConfig, Corpus]) -> None:
    corpus = opened[1]
    config = replace(AugmentConfig(), level_db=(-30.0, -30.0), clipping_probability=0.0)
    augmenter = corpus.augmenter(config)
    for seed in range(8):
        out = augmenter.waveform(conversation()[16000:48000], np.random.default_rng(seed))
        assert 10.0 * np.log10(np.mean(out.astype(np.float64) ** 2)) == pytest.approx(-30, abs=0.1)


def test_a_room_does_not_shift_the_voice() -> None:
    audio = conversation()[16000:48000]
    response = np.zeros(4000, dtype=np.float32)
    response[700] = 1.0  # the direct path, late, as in a measured response
    np.testing.assert_allclose(_convolve(audio, response), audio, atol=1e-5)
    response[700 + 160] = 0.5
    echo = audio.copy()
    echo[160:] += 0.5 * audio[:-160]
    np.testing.assert_allclose(_convolve(audio, response), echo, atol=1e-5)


def test_a_telephone_line_passes_nothing_over_4_khz() -> None:
    time = np.arange(16000) / 16000
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (1000.0, 6000.0))
    assert np.sqrt(np.mean(telephone(low, 50.0, 3800.0, companded=False) ** 2)) == pytest.approx(
        np.sqrt(0.5), rel=0.02
    )
    assert np.sqrt(np.mean(telephone(high, 50.0, 3800.0, companded=True)[400:-400] ** 2)) < 0.01


@pytest.mark.parametrize(("hertz", "gain_db"), [(60.0, -40.0), (1000.0, 0.0), (7000.0, -40.0)])
def test_outside_its_band_a_microphone_hears_the_floor_alone(hertz: float, gain_db: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(16000) / 16000).astype(np.float32)
    heard = band_limited(tone, 240.0, 6000.0, -40.0)
    assert heard.shape == tone.shape and heard.dtype == np.float32
    rms_db = 20 * np.log10(np.sqrt(2 * np.mean(heard**2)))
    assert rms_db == pytest.approx(gain_db, abs=3.0)
