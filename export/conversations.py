"""The real conversations of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edge.errors import EarmarkError
from edge.rttm import Turn, read_rttm


class Conversation(NamedTuple):
    """A recording, and who spoke when."""

    path: Path
    truth: list[Turn]


def read_conversations(folder: Path) -> list[Conversation]:
    """The FLAC files in a folder, by name, each with the RTTM file beside it.

    Raises:
        EarmarkError: there are none, or what one says cannot be read.
    """
    paths = sorted(folder.glob("*.flac"))
    if not paths:
        raise EarmarkError(f"no conversations in {folder}", "Check --corpus")
    conversations = [Conversation(path, read_rttm(path.with_suffix(".rttm"))) for path in paths]
    for path, truth in conversations:
        if not any(turn.start < turn.end for turn in truth):
            raise EarmarkError(
                f"{path.with_suffix('.rttm')} holds no turn, by which {path.name} could be judged",
                "Add its SPEAKER lines, or take the recording out of the folder",
            )
    return conversations
