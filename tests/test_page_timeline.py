"""Risk: the page in a browser tells another story of the same events than the terminal."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from chromium import Browser, browser
from numpy.random import Generator

from edge.events import (
    VERSION,
    Envelope,
    Event,
    Health,
    Overlap,
    Segment,
    SourceLost,
    SpeakerCreated,
    SpeakerMerged,
    SpeechStarted,
    SpeechStopped,
    Verdict,
    encode,
)
from edge.front_end import SAMPLE_RATE
from edge.timeline import HORIZON, Timeline

SOURCE = Path(__file__).parents[1] / "edge" / "web" / "assets" / "timeline.js"
NAMES = ["unknown", "ada", "speaker1", "speaker2", "<b>bob", "Åsa"]
TOLD = """(envelopes) => {
  const timeline = new Timeline();
  for (const envelope of envelopes) timeline.apply(envelope);
  return {
    segments: [...timeline.segments.values()].map((s) => [
      s.id, s.rev, s.speaker, s.start, s.end,
      (s.overlaps ?? []).map((o) => [o.start, o.end, o.speaker]),
    ]),
    verdicts: [...timeline.verdicts.keys()],
    speakers: [...timeline.speakers.keys()],
    spoken: Object.fromEntries(timeline.spoken()),
    position: timeline.position,
    speaking: timeline.speaking,
    current: timeline.current?.id ?? null,
    ended: timeline.ended,
  };
}"""


def by_the_page(page: Browser, envelopes: list[Envelope]) -> dict[str, Any]:
    events = "[" + ",".join(encode(envelope).decode() for envelope in envelopes) + "]"
    told: dict[str, Any] = page.value(f"({TOLD})({events})")
    return told


def by_the_terminal(envelopes: list[Envelope]) -> dict[str, Any]:
    timeline = Timeline()
    for envelope in envelopes:
        timeline.apply(envelope)
    told = {
        "segments": [
            (
                s.id,
                s.rev,
                s.speaker,
                s.start,
                s.end,
                [(o.start, o.end, o.speaker) for o in s.overlaps],
            )
            for s in timeline.segments.values()
        ],
        "verdicts": list(timeline.verdicts),
        "speakers": list(timeline.speakers),
        "spoken": {n: round(timeline.seconds(n) * SAMPLE_RATE) for n in timeline.speakers},
        "position": timeline.position,
        "speaking": timeline.speaking,
        "current": timeline.current.id if timeline.current else None,
        "ended": timeline.ended,
    }
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def story(random: Generator) -> list[Envelope]:
    """Events as they might come, late, doubled and merged ones among them, over two horizons."""
    envelopes: list[Envelope] = []
    sample, session = 0, "journal.1"
    for seq in range(int(random.integers(1, 300))):
        sample += int(random.exponential(2 * HORIZON / 200))
        if random.random() < 0.004:
            sample, session = 0, f"journal.{seq + 2}"
        envelopes.append(Envelope(VERSION, session, "mic", seq, sample, 0.0, event(random, sample)))
    return envelopes


def event(random: Generator, sample: int) -> Event:
    name, other = (str(each) for each in random.choice(NAMES, 2))
    number = int(random.integers(0, 40))
    kind = random.choice(8, p=[0.5, 0.1, 0.1, 0.08, 0.08, 0.08, 0.03, 0.03])
    if kind == 0:
        start = max(0, sample - int(random.integers(0, 20 * SAMPLE_RATE)))
        end = start + int(random.integers(1, 4 * SAMPLE_RATE))
        both = (Overlap(start, (start + end) // 2, other),) if random.random() < 0.3 else ()
        rev = int(random.integers(0, 4))
        return Segment(number, rev, "provisional", name, start, end, 1.0, None, None, both)
    others: list[Event] = [
        Verdict(sample, number, name, "yes", 2.0, 1.0),
        SpeakerMerged(sample, name, other),
        SpeakerCreated(sample, name),
        SpeechStarted(sample),
        SpeechStopped(sample),
        SourceLost(sample, "unplugged"),
        Health(sample, 0.0, 0.0, 0, 0, 0, 0, 0, final=bool(random.random() < 0.3)),
    ]
    return others[kind - 1]


def test_the_page_and_the_terminal_tell_the_same(tmp_path: Path) -> None:
    module = base64.b64encode(SOURCE.read_bytes()).decode()
    load = f"import('data:text/javascript;base64,{module}')"
    with browser(tmp_path) as page:
        assert page.value(f"{load}.then((m) => {{ window.Timeline = m.Timeline; return true; }})")
        for seed in range(60):
            envelopes = story(np.random.default_rng(seed))
            assert by_the_page(page, envelopes) == by_the_terminal(envelopes), seed
        assert not page.errors
