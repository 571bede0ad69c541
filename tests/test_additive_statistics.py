"""Statistics add: a profile is the exact embedding of all that was ever said, in any order."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import ENROLMENT, RATE, ada, conversation, model

from edge.audio import read_audio, stream_audio
from edge.enrolment import (
    check_enough,
    profile_from_audio,
    speech_statistics,
    stream_statistics,
)
from edge.errors import EarmarkError
from edge.gate import GateConfig
from edge.records import all_records
from edge.speakers import SpeakerBook
from edge.statistics import Profile, Sums
from edge.store import Store

RECORDS = 60  # of real speech, for the properties


@cache
def records() -> Sums:
    found = all_records(model(), GateConfig(), conversation()[: 12 * RATE])
    return np.stack([r.statistics for r in found if r.speech])[:RECORDS]


def clip(first: float, last: float) -> Sums:
    return speech_statistics(model(), conversation()[int(first * RATE) : int(last * RATE)])


def test_enrolling_twice_is_the_embedding_of_the_sum(tmp_path: Path) -> None:
    first, second = clip(0.5, 5), clip(12.8, 16.8)
    with Store(tmp_path / "s.db", model()) as store:
        store.enrol(Profile("ada", first))
        grown, _ = store.enrol(Profile("ada", second))
    with Store(tmp_path / "s.db", model()) as store:
        (read,) = store.profiles()
    assert np.array_equal(read.statistics, first + second)
    assert np.array_equal(read.statistics, grown.statistics)
    assert read.statistics.dtype == np.float64
    embeddings = model().embed(np.stack([read.statistics, first + second]))
    assert np.array_equal(embeddings[0], embeddings[1])


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(RECORDS)))
def test_the_order_of_addition_does_not_matter(order: list[int]) -> None:
    speech = records()
    plain, shuffled = speech.sum(axis=0), speech[order].sum(axis=0)
    np.testing.assert_allclose(shuffled, plain, rtol=1e-12, atol=1e-12 * np.abs(plain).max())
    embeddings = model().embed(np.stack([plain, shuffled]))
    norm = np.linalg.norm(embeddings[0])
    np.testing.assert_allclose(embeddings[1] / norm, embeddings[0] / norm, atol=1e-5)


def test_saying_the_same_again_changes_no_embedding() -> None:
    once = records().sum(axis=0)
    many = np.stack([once, 2 * once, 2.0**40 * once])  # the last is 100,000 years of it
    embeddings = model().embed(many)
    assert np.array_equal(embeddings[0], embeddings[1])
    assert np.array_equal(embeddings[0], embeddings[2])


def test_a_year_of_additions_stays_exact_to_float32() -> None:
    one = records().sum(axis=0)
    year = one * round(365 * 86_400 / float(model().seconds(one)))
    np.testing.assert_allclose((year + one) - year, one, rtol=1e-6, atol=1e-6 * np.abs(one).max())


def test_seconds_are_those_that_tell_of_a_voice() -> None:
    statistics = clip(0, 12)
    heard = all_records(model(), GateConfig(), conversation()[: 12 * RATE])
    evidence = [r for r in heard if r.evidence]
    assert model().seconds(statistics) == pytest.approx(0.1 * len(evidence), abs=0.1)
    assert all(r.evidence for r in heard if r.speech)
    assert sum(r.speech for r in heard) < len(evidence) < len(heard)
    assert 0 < float(model().seconds(ada().statistics)) < len(read_audio(ENROLMENT)) / RATE


def test_embeddings_are_finite_even_of_nothing() -> None:
    rows = np.stack([ada().statistics, records()[0], np.zeros(model().statistics_size)])
    embeddings = model().embed(rows)
    assert embeddings.shape == (3, model().spec.embedding)
    assert np.isfinite(embeddings).all()
    ada_norm, record_norm = np.linalg.norm(embeddings[:2], axis=1)
    assert record_norm > ada_norm, "a tenth of a second scatters more than ten seconds"


def test_a_file_in_blocks_is_the_file_as_a_whole() -> None:
    streamed = stream_statistics(model(), stream_audio(ENROLMENT))
    np.testing.assert_array_equal(streamed, ada().statistics)


def test_a_book_learns_by_adding() -> None:
    book = SpeakerBook(model(), [])
    first, second = clip(0.5, 5), clip(12.8, 16.8)
    name = book.new_name()
    book.learn(name, first)
    book.learn(name, second)
    (voice,) = book.voices
    assert voice.name == name
    assert np.array_equal(voice.statistics, first + second)
    np.testing.assert_array_equal(voice.embedding, model().embed((first + second)[None])[0])


def test_no_new_voice_gets_the_name_of_one_that_is_enrolled_or_gone() -> None:
    book = SpeakerBook(model(), [Profile("speaker1", ada().statistics)])
    assert book.new_name() == "speaker2"
    assert book.new_name() == "speaker3"


def test_too_little_speech_is_no_profile() -> None:
    with pytest.raises(EarmarkError, match="needs 3 s of speech"):
        profile_from_audio(model(), "ada", conversation()[: 2 * RATE])
    with pytest.raises(EarmarkError, match=r"heard 0\.0 s"):
        profile_from_audio(model(), "ada", np.zeros(5 * RATE, dtype=np.float32))
    check_enough(model(), ada())
