"""SubRip subtitles: who speaks, for any video player."""

from __future__ import annotations

from collections.abc import Iterable

from edge.rttm import Turn


def format_srt(turns: Iterable[Turn]) -> str:
    """SRT text of the turns, in order of their start: one subtitle a turn, the speaker's name."""
    subtitles = [
        f"{number}\n{_clock(turn.start)} --> {_clock(turn.end)}\n{turn.speaker}\n\n"
        for number, turn in enumerate(sorted(turns), start=1)
    ]
    return "".join(subtitles)


def _clock(seconds: float) -> str:
    whole, milliseconds = divmod(round(1000 * seconds), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02},{milliseconds:03}"
