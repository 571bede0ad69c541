"""A picture of who spoke when, as SVG: a lane a speaker, and the truth above where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from edge.comparison import shared_seconds
from edge.printable import printable
from edge.rttm import Turn

WIDTH, NAMES, LANE, MARGIN = 1200, 160, 22, 24  # pixels
COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#9c755f",
)  # fmt: skip
TICKS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)  # seconds between marks
MOST_MARKS = 12


def draw_turns(
    title: str, seconds: float, found: Sequence[Turn], truth: Sequence[Turn] | None
) -> str:
    """SVG text of a recording's turns. A speaker in truth has the colour of their likeliest label.

    Args:
        title: of the recording.
        seconds: its length.
        found: the turns that were told.
        truth: the turns that are right, where they are known.
    """
    labels = _speakers(found)
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    lanes: list[tuple[str, list[Turn], str]] = []
    shared = shared_seconds(truth or (), found)
    for speaker in _speakers(truth or ()):
        own = [turn for turn in truth or () if turn.speaker == speaker]
        match = max(labels, key=lambda label: shared[speaker, label], default=None)
        colour = colours[match] if match and shared[speaker, match] else "#999999"
        lanes.append((f"{speaker} (truth)", own, colour))
    for label in labels:
        lanes.append((label, [turn for turn in found if turn.speaker == label], colours[label]))
    # A recording may be shorter than one sample at 16 kHz.
    longest = max([seconds, *(turn.end for turn in truth or ())]) or 1.0
    scale = (WIDTH - NAMES - MARGIN) / longest
    height = MARGIN + LANE * len(lanes) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(printable(title))}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        _text(8, 16, title),
    ]
    for mark in _marks(longest):
        x = NAMES + mark * scale
        parts.append(f'<path d="M{x:.1f} {MARGIN}V{height - MARGIN}" stroke="#dddddd"/>')
        parts.append(_text(x, height - 8, _clock(mark)))
    for i, (name, turns, colour) in enumerate(lanes):
        top = MARGIN + LANE * i
        parts.append(_text(8, top + 15, name))
        parts += [
            f'<rect x="{NAMES + turn.start * scale:.2f}" y="{top + 3}" '
            f'width="{(turn.end - turn.start) * scale:.2f}" height="{LANE - 6}" fill="{colour}"/>'
            for turn in turns
        ]
    return "\n".join([*parts, "</svg>\n"])


def _speakers(turns: Sequence[Turn]) -> list[str]:
    """In order of appearance."""
    return list(dict.fromkeys(turn.speaker for turn in sorted(turns)))


def _marks(seconds: float) -> range:
    """Where times stand below the lanes, in seconds."""
    step = next((tick for tick in TICKS if seconds / tick <= MOST_MARKS), 6 * 3600)
    return range(0, int(seconds) + 1, step)


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y}">{escape(printable(text))}</text>'


def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"
