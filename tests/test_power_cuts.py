"""Risk: after a power cut a file is again what it was before it was replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge.journal import Journal
from edge.private_file import replace_private


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What a power cut would leave of the files in each folder that was brought to the disk."""
    files: dict[str, bytes] = {}
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            folder = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            files.update({path.name: path.read_bytes() for path in folder.iterdir()})

    monkeypatch.setattr(os, "fsync", watched)
    return files


def test_what_was_replaced_stays_so(tmp_path: Path, kept: dict[str, bytes]) -> None:
    """A key that was revoked would be allowed again, and a number that was given be free."""
    for data in (b"before", b"after"):
        replace_private(tmp_path / "keys", data)
        assert kept == {"keys": data}


def test_a_run_of_the_journal_has_begun_before_its_first_number(
    tmp_path: Path, kept: dict[str, bytes]
) -> None:
    """Else it goes on where the run before ended, with numbers that were given since."""
    Journal(tmp_path).close()
    journal = Journal(tmp_path)
    assert kept["journal.json"] == (tmp_path / "journal.json").read_bytes()
    assert b'"closed":false' in kept["journal.json"]
    journal.close()
