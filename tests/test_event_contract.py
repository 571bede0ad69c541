"""What subscribers in any language rely on: the shape of events changes only with `VERSION`."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path

import msgspec
import pytest

from edge.events import (
    VERSION,
    Envelope,
    Event,
    Health,
    Overlap,
    Segment,
    SourceGap,
    SourceLost,
    SourceOpened,
    SourceOverflow,
    SourceRestored,
    SpeakerCreated,
    SpeakerMerged,
    SpeechStarted,
    SpeechStopped,
    Verdict,
    decode,
    encode,
    json_schema,
    topic,
)

SCHEMA = Path(__file__).parents[1] / "edge" / "schema" / f"events.v{VERSION}.json"
WRITE = (
    'python -c "import json, edge.events as e; print(json.dumps(e.json_schema(), indent=2))"'
    f" > edge/schema/{SCHEMA.name}"
)
FAR = 1 << 40  # two years at 16 kHz: far beyond 32 bits
EXAMPLES = [
    SourceOpened("mic", 48_000, 2),
    SourceLost(FAR, "unplugged"),
    SourceRestored(FAR, "mic", 44_100, 1),
    SourceGap(FAR, FAR + 1),
    SourceOverflow(FAR, FAR + 1),
    SpeechStarted(FAR),
    SpeechStopped(FAR),
    Segment(7, 2, "final", "ada", FAR, FAR + 16_000, 5.5, "speaker1", 2.25),
    Segment(9, 0, "final", "ada", 0, 9, overlaps=(Overlap(2, 5, "ben"),)),
    Segment(8, 0, "provisional", "Zoë \N{SNOWMAN}", 0, 1),
    SpeakerCreated(FAR, "speaker2"),
    SpeakerMerged(FAR, "speaker2", "ada"),
    Verdict(FAR, 7, "ada", "not yet", -0.5, 0.75),
    Health(FAR, 0.01, 3.5, 1 << 27, 0, 160, 4, 1, -20.5, True, 0.001, 0.01, -31.5, 2),
]


def _envelope(event: Event) -> Envelope:
    return Envelope(VERSION, "00ff", "kitchen", 3, FAR, 1.75e9, event)


def _shape(schema: object) -> object:
    """The schema without its descriptions, which are for people."""
    if isinstance(schema, dict):
        # A property may itself be called "description"; its value is then a schema.
        return {
            key: _shape(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [_shape(item) for item in schema] if isinstance(schema, list) else schema


def test_the_shape_changes_only_with_a_new_version() -> None:
    assert SCHEMA.is_file(), f"no schema of version {VERSION}; write it: {WRITE}"
    kept = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert _shape(json.loads(json.dumps(json_schema()))) == _shape(kept), (
        "events changed: subscribers would break. Raise edge.events.VERSION and keep the schema "
        f"of the new version beside the old one, as written by: {WRITE}"
    )


def test_the_kept_schema_is_the_generated_one() -> None:
    kept = SCHEMA.read_text(encoding="utf-8")
    assert kept == json.dumps(json_schema(), indent=2) + "\n", f"write it again: {WRITE}"


def test_the_schemas_of_all_versions_are_kept() -> None:
    kept = sorted(path.name for path in SCHEMA.parent.glob("*.json"))
    assert kept == sorted(f"events.v{version}.json" for version in range(1, VERSION + 1))


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in EXAMPLES} == set(typing.get_args(Event))


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_events_survive_the_wire(event: Event) -> None:
    data = encode(_envelope(event))
    assert b"\n" not in data
    assert decode(data) == _envelope(event)
    plain = json.loads(data)
    assert list(plain) == ["v", "session", "stream", "seq", "sample", "utc", "event"]
    # The tag begins with the topic's second part: subscribers choose families by prefix.
    assert topic(_envelope(event)).decode() == f"kitchen/{plain['event']['type'].split('.')[0]}"


def test_positions_are_exact_for_years() -> None:
    back = decode(encode(_envelope(SpeechStarted((1 << 53) + 1))))
    assert back.event == SpeechStarted((1 << 53) + 1)


def test_a_field_that_a_subscriber_does_not_know_is_no_error() -> None:
    data = encode(_envelope(SpeechStarted(5)))
    assert decode(data.replace(b'"sample":5', b'"sample":5,"mood":"cheerful"')) == _envelope(
        SpeechStarted(5)
    )


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"sample":5', b'"sample":"5"'),
        (b'"sample":5', b'"sample":null'),
        (b'"sample":5', b'"begin":5'),
        (b'"speech.started"', b'"speech"'),
        (b'"seq":3', b'"seq":3.5'),
        (b'"v":2', b'"w":2'),
    ],
)
def test_another_shape_is_refused(was: bytes, becomes: bytes) -> None:
    data = encode(_envelope(SpeechStarted(5)))
    assert was in data
    with pytest.raises(msgspec.DecodeError):
        decode(data.replace(was, becomes))


def test_tags_are_families_with_lower_case_words() -> None:
    tags = [str(kind.__struct_config__.tag) for kind in typing.get_args(Event)]
    assert len(set(tags)) == len(tags)
    assert all(re.fullmatch(r"[a-z]+(\.[a-z]+)?", tag) for tag in tags)
