"""Risk: a changed voice that is still called by its old name, or whose words are gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tiny_corpus import CLEAN, batches_of, conversation, open_corpus

from edge._native import Fbank, FbankOptions
from edge.errors import EarmarkError
from train.augment import _through_opus
from train.config import TrainConfig
from train.corpus import Corpus
from train.rooms import RoomConfig, simulate_rooms
from train.teacher import OnlineTarget, OnnxTeacher
from train.voices import Voice, VoiceConfig, draw_voice

Audio = NDArray[np.float32]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Corpus]:
    return open_corpus(tmp_path_factory.mktemp("opened"))


def teacher_graph(path: Path, size: int, seed: int) -> Path:
    """A teacher of the common form: here, a random map of each mel's variance over time."""
    weights = np.random.default_rng(seed).standard_normal((80, size)).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["frames", "frames"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variances"], axes=[1], keepdims=0),
        helper.make_node("Log", ["variances"], ["logs"]),
        helper.make_node("ReduceMean", ["logs"], ["level"], axes=[1]),
        helper.make_node("Sub", ["logs", "level"], ["shape"]),
        helper.make_node("MatMul", ["shape", "weights"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, [1, "time", 80])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, size])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def peak_hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return float(np.argmax(spectrum)) * 16000 / len(audio)


@pytest.mark.parametrize("ratio", [0.8, 0.9, 1.1, 1.25])
def test_speed_changes_pitch_and_length_and_a_shift_pitch_alone(ratio: float) -> None:
    tone = np.sin(2 * np.pi * 400.0 / 16000 * np.arange(32000)).astype(np.float32)
    faster = Voice(ratio, keeps_tempo=False, family=1).change(tone)
    assert len(faster) == pytest.approx(len(tone) / ratio, abs=2)
    shifted = Voice(ratio, keeps_tempo=True, family=None).change(tone)
    assert len(shifted) == pytest.approx(len(tone), abs=400)
    for changed in (faster, shifted):
        assert changed.dtype == np.float32
        assert peak_hz(changed) == pytest.approx(400.0 * ratio, rel=0.01)


def test_a_shifted_voice_keeps_its_words() -> None:
    speech = conversation()[: 16000 * 4]
    shifted = Voice(1.12, keeps_tempo=True, family=None).change(speech)

    def envelope(audio: Audio) -> NDArray[np.float64]:
        power = np.square(audio[: len(audio) // 800 * 800], dtype=np.float64).reshape(-1, 800)
        levels: NDArray[np.float64] = np.log(power.mean(axis=1) + 1e-7)
        return levels

    one, two = envelope(speech), envelope(shifted)
    count = min(len(one), len(two))
    assert np.corrcoef(one[:count], two[:count])[0, 1] > 0.9


def test_voices_are_drawn_as_often_as_is_asked() -> None:
    config = VoiceConfig(speed_probability=0.3, shift_probability=0.2)
    random = np.random.default_rng(0)
    drawn = [draw_voice(config, random, 1.0) for _ in range(4000)]
    fast = sum(v is not None and not v.keeps_tempo for v in drawn) / 4000
    shifted = sum(v is not None and v.keeps_tempo for v in drawn) / 4000
    assert (fast, shifted) == (pytest.approx(0.3, abs=0.03), pytest.approx(0.2, abs=0.03))
    assert all(draw_voice(config, random, 0.0) is None for _ in range(50))


def test_a_speaker_at_another_speed_is_another_speaker(
    opened: tuple[TrainConfig, Corpus],
) -> None:
    config, corpus = opened
    voices = VoiceConfig(speed_probability=1.0)
    changed = replace(config, augment=replace(config.augment, voices=voices, ramp_steps=0))
    plain, new = batches_of(config, corpus), batches_of(changed, corpus)
    speakers = len(plain.class_centres())
    assert len(new.class_centres()) == 3 * speakers
    labels = np.concatenate([new[i].labels.numpy() for i in range(6)])
    assert set(labels[labels >= 0] // speakers) == {1, 2}
    assert bool(new[0].targets.isnan().all()), "nobody has said what these voices are"


def test_the_crops_of_an_utterance_in_a_batch_are_one_voices(
    opened: tuple[TrainConfig, Corpus],
) -> None:
    config, corpus = opened
    changed = replace(
        config,
        data=replace(config.data, views=2),
        augment=replace(config.augment, voices=VoiceConfig(speed_probability=0.5), ramp_steps=0),
        optimiser=replace(config.optimiser, batch=16),
    )
    batches = batches_of(changed, corpus)
    seen = set[int]()
    for batch in (batches[i] for i in range(6)):
        voices = set(zip(batch.utterances.tolist(), batch.labels.tolist(), strict=True))
        assert len(voices) == len(set(batch.utterances.tolist()))
        seen |= {label // 8 for _, label in voices if label >= 0}
    assert seen == {0, 1, 2}


def test_changed_voices_have_the_targets_of_teachers_that_are_run(
    opened: tuple[TrainConfig, Corpus], tmp_path: Path
) -> None:
    config, corpus = opened
    graphs = [teacher_graph(tmp_path / f"{n}.onnx", size, size) for n, size in (("a", 9), ("b", 7))]
    teachers = [OnnxTeacher(path) for path in graphs]
    audios = [corpus.waveforms[i] for i in range(len(corpus.waveforms))]
    known = [np.stack([teacher(audio) for audio in audios]) for teacher in teachers]
    truth = np.random.default_rng(0).standard_normal((16, 8))
    views = []
    for rows in known:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        centred = unit - unit.mean(axis=0)
        views.append(centred / np.linalg.norm(centred, axis=1, keepdims=True))
    targets = np.concatenate(views, axis=1) @ truth
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    online = OnlineTarget(teachers, known, targets.astype(np.float32))
    for i in (0, 3, 11):
        assert online(audios[i]) @ targets[i] > 0.9

    voices = VoiceConfig(shift_probability=1.0)
    changed = replace(config, augment=replace(config.augment, voices=voices, ramp_steps=0))
    batch = batches_of(changed, corpus, online)[0]
    assert bool(batch.targets.isfinite().all())
    assert bool((batch.labels == -1).all()), "a shifted voice is nobody's"
    with pytest.raises(EarmarkError, match=r"a\.onnx gives 9 values, its array has 7"):
        OnlineTarget(teachers[:1], known[1:], targets.astype(np.float32))


class Listening(OnlineTarget):
    """Online targets that note what their teachers heard."""

    heard: list[Audio]

    def __call__(self, audio: Audio) -> Audio:
        self.heard.append(audio)
        return super().__call__(audio)


def test_teachers_of_crops_hear_the_very_crop(
    opened: tuple[TrainConfig, Corpus], tmp_path: Path
) -> None:
    config, corpus = opened
    teacher = OnnxTeacher(teacher_graph(tmp_path / "a.onnx", 9, 9))
    count = len(corpus.waveforms)
    known = [np.stack([teacher(corpus.waveforms[i]) for i in range(count)])]
    targets = np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32)
    online = Listening([teacher], known, targets)
    online.heard = []
    changed = replace(
        config,
        data=replace(config.data, splice_probability=0.0),
        augment=replace(
            CLEAN,
            ramp_steps=0,
            voices=VoiceConfig(speed_probability=0.5, shift_probability=0.5),
        ),
    )
    batches = batches_of(changed, corpus, online)
    batch = batches[0]
    heard = len(online.heard)
    assert bool((batches.untaught()[0].fbank == batch.fbank).all())
    assert len(online.heard) == heard > 0, "a teacher was asked in vain"
    for audio, fbank, target in zip(list(online.heard), batch.fbank, batch.targets, strict=True):
        shape = Fbank(FbankOptions()).push(audio)
        student = fbank.numpy()
        assert shape.shape == student.shape, "the teacher heard more, or less"
        # The encoder hears it at another level: what is left is the shape of the spectrum.
        loud = shape > shape.max() - 8
        assert np.corrcoef(shape[loud], student[loud])[0, 1] > 0.9
        assert float(np.asarray(target) @ online(audio)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("keeps_tempo", [True, False])
@pytest.mark.parametrize("ratio", [0.793, 0.84, 1.0, 1.059, 1.2])
@pytest.mark.parametrize("count", [400, 16000, 33041])
def test_a_changed_voice_fills_the_crop(keeps_tempo: bool, ratio: float, count: int) -> None:
    voice = Voice(ratio, keeps_tempo=keeps_tempo, family=None)
    audio = conversation()[16000 : 16000 + voice.needs(count)]
    assert count <= len(voice.change(audio)) <= count + 4


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "campplus.onnx"
    path.write_bytes(b"not a graph")
    for wrong in (path, tmp_path / "missing.onnx"):
        with pytest.raises(EarmarkError, match="does not work as a teacher"):
            OnnxTeacher(wrong)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"online_teachers": ("other.onnx",)}, "other is not among campplus, resnet34"),
        ({}, "shift_probability needs teachers"),
    ],
)
def test_shifts_without_a_fitting_teacher_are_refused(
    tmp_path: Path, data: dict[str, tuple[str, ...]], said: str
) -> None:
    config, _ = open_corpus(tmp_path)
    online = tuple(
        str(teacher_graph(tmp_path / name, 12, 0)) for name in data.get("online_teachers", ())
    )
    voices = VoiceConfig(shift_probability=0.1)
    config = replace(
        config,
        data=replace(config.data, online_teachers=online),
        augment=replace(config.augment, voices=voices),
    )
    with pytest.raises(EarmarkError, match=said):
        Corpus.open(tmp_path / "corpus", tmp_path / "cache", config)


def test_a_teachers_array_in_another_order_than_its_list_is_refused(tmp_path: Path) -> None:
    """It has as many rows, and nothing else would tell."""
    config, corpus = open_corpus(tmp_path)
    folder = tmp_path / "corpus" / "teachers"
    graph = teacher_graph(tmp_path / "campplus.onnx", 12, 0)
    config = replace(config, data=replace(config.data, online_teachers=(str(graph),)))
    teacher, lengths = OnnxTeacher(graph), (len(corpus.waveforms) - 4, 4)
    rows = np.stack([teacher(corpus.waveforms[i]) for i in range(sum(lengths))])
    for name, own in zip(("train", "unlabelled"), np.split(rows, lengths[:1]), strict=True):
        np.save(folder / f"{name}.campplus.npy", own)
    Corpus.open(tmp_path / "corpus", tmp_path / "cache", config)
    np.save(folder / "unlabelled.campplus.npy", rows[lengths[0] :][[1, 2, 3, 0]])
    with pytest.raises(EarmarkError, match=r"unlabelled\.campplus\.npy agree at a cosine of"):
        Corpus.open(tmp_path / "corpus", tmp_path / "cache", config)


def test_simulated_rooms_are_the_same_every_time_and_ring_as_asked(tmp_path: Path) -> None:
    config = RoomConfig(count=4, decay_seconds=(0.4, 0.5))
    first = simulate_rooms(config, tmp_path / "one")
    again = simulate_rooms(config, tmp_path / "two")
    mapped = simulate_rooms(config, tmp_path / "one")
    assert len(first) == 4
    for i in range(4):
        np.testing.assert_array_equal(first[i], again[i])
        np.testing.assert_array_equal(first[i], mapped[i])
        assert np.abs(first[i]).max() == pytest.approx(1.0, abs=1e-3)
        left = np.cumsum(np.square(first[i][::-1], dtype=np.float64))[::-1]
        decibels = 10 * np.log10(left / left[0] + 1e-12)
        decay = 3 * (np.argmax(decibels < -25) - np.argmax(decibels < -5)) / 16000
        assert 0.2 < decay < 0.7, "Schroeder's decay, from -5 to -25 dB"


def test_opus_changes_the_samples_and_keeps_the_speech() -> None:
    speech = 0.1 * conversation()[16000 : 16000 * 3]
    heard = _through_opus(speech, 1.0)
    assert heard.shape == speech.shape
    assert heard.dtype == np.float32
    assert not np.array_equal(heard, speech)
    assert np.corrcoef(heard, speech)[0, 1] > 0.8
