"""Speakers in one file, to be carried to another store: MessagePack, sealed if the store is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.ledger import Ledger, decode, encode
from edge.names import check_name, composed
from edge.speaker_table import Cipher, Clear

MAX_BYTES = 1 << 30  # some 100,000 speakers
_OPENING = b"earmark speakers "
_CLEAR, _SEALED = _OPENING + b"1 clear\n", _OPENING + b"1 sealed\n"
_CONTEXT = b"export"


class _Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    speakers: dict[str, Ledger]


def encode_export(model: Model, speakers: Mapping[str, Ledger], cipher: Cipher) -> bytes:
    """The bytes of the file, sealed by the store's cipher."""
    content = encode(_Export(model.id, dict(speakers)))
    if isinstance(cipher, Clear):
        return _CLEAR + content
    return _SEALED + cipher.seal(content, _CONTEXT)


def decode_export(data: bytes, model: Model, cipher: Cipher) -> dict[str, Ledger]:
    """The speakers in such bytes, all of which are checked.

    Raises:
        EarmarkError: no such bytes, or damaged, another model's, or sealed with another key.
    """
    try:
        content = decode(_open(data, cipher), _Export)
    except msgspec.DecodeError as error:
        raise EarmarkError(f"the exported speakers are damaged: {error}", "Export again") from error
    if content.model != model.id:
        raise EarmarkError(
            f"the speakers were exported with the model {content.model}, this one is {model.id}",
            "Give that model with --model, or enrol again",
        )
    speakers = {composed(name): ledger for name, ledger in content.speakers.items()}
    if len(speakers) < len(content.speakers):
        raise EarmarkError(
            "two of the exported speakers have one name, in two forms of Unicode",
            "Forget or rename one, and export again",
        )
    for name, ledger in speakers.items():
        check_name(name)
        try:
            ledger.check(model.statistics_size)
        except EarmarkError as error:
            raise EarmarkError(f"the exported profile of '{name}' is damaged: {error}") from error
    return speakers


def read_export(path: Path) -> bytes:
    """A file that may be an export, in memory.

    Raises:
        EarmarkError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise EarmarkError(f"cannot read {path}: {error.strerror}", "Check its name") from error
    if len(data) > MAX_BYTES:
        raise EarmarkError(
            f"{path} has more than {MAX_BYTES} bytes, which no export has",
            "Give a file that 'earmark speakers export' wrote",
        )
    return data


def _open(data: bytes, cipher: Cipher) -> bytes:
    if data.startswith(_CLEAR):
        return data[len(_CLEAR) :]
    if data.startswith(_SEALED):
        if isinstance(cipher, Clear):
            raise EarmarkError(
                "the exported speakers are encrypted, and no key was given",
                "Give theirs with --key FILE, and a store that is encrypted with the same key",
            )
        try:
            return cipher.open(data[len(_SEALED) :], _CONTEXT)
        except ValueError as error:
            raise EarmarkError(
                "the exported speakers are encrypted with another key, or damaged",
                "Import them into a store that is encrypted with the same key",
            ) from error
    expected = "version 1" if data.startswith(_OPENING) else "an export"
    raise EarmarkError(
        f"these are no exported speakers: {expected} of 'earmark speakers export' was expected",
        "Export them with this version of Earmark",
    )
