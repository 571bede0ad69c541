"""A CURVE key pair in a file of its owner alone; on the daemon's side also who may connect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from edge.errors import EarmarkError
from edge.lock import locked
from edge.names import check_client
from edge.private_file import read_private, replace_private, write_private
from edge.untrusted import parse

MAX_FILE = 1 << 20  # bytes
PATIENCE = 10.0  # seconds for others to finish their change
Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may connect: hears events; with `commands`, may also change what the daemon does.

    With `audio`, it may also be a satellite, which the daemon hears.
    """

    name: str
    public: Hex
    commands: bool
    audio: bool = False

    @property
    def rights(self) -> str:
        """What it may, for people."""
        more = ("commands" if self.commands else "", "audio" if self.audio else "")
        return ", ".join(["events", *filter(None, more)])


class Keyring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key pair, and the clients that it lets in. Keys are 32 bytes in hexadecimal."""

    public: Hex
    secret: Hex
    clients: tuple[Client, ...] = ()

    def client(self, public: str) -> Client | None:
        """The client of a key, if it is allowed."""
        return next((client for client in self.clients if client.public == public), None)

    def allow(self, client: Client) -> Keyring:
        """With one more client; one of the same name is replaced.

        Raises:
            EarmarkError: no name, no key, or a key that is allowed under another name.
        """
        check_client(client.name)
        parse_public(client.public)
        others = tuple(c for c in self.clients if c.name != client.name)
        holder = next((c for c in others if c.public == client.public), None)
        if holder is not None:
            raise EarmarkError(
                f"that key is allowed already, as '{holder.name}'", "Revoke that one first"
            )
        return msgspec.structs.replace(self, clients=(*others, client))

    def revoke(self, name: str) -> Keyring:
        """Without a client.

        Raises:
            EarmarkError: there is none of that name.
        """
        if all(client.name != name for client in self.clients):
            raise EarmarkError(f"no key is allowed as '{name}'", "See 'earmark keys list'")
        others = tuple(client for client in self.clients if client.name != name)
        return msgspec.structs.replace(self, clients=others)


def make_keyring(path: Path) -> Keyring:
    """Write a new key pair that lets nobody in.

    Raises:
        EarmarkError: something is there already, or it cannot be written.
    """
    import zmq  # noqa: PLC0415 (help and lists do without)
    from zmq.utils import z85  # noqa: PLC0415

    public, secret = (z85.decode(key).hex() for key in zmq.curve_keypair())
    keyring = Keyring(public, secret)
    write_private(path, _encode(keyring))
    return keyring


def read_keyring(path: Path) -> Keyring:
    """The keys in a file that `make_keyring` or `change_keyring` wrote.

    Raises:
        EarmarkError: no such file, others may read it, or it holds no keys.
    """
    remedy = "Make some with 'earmark keys new FILE'"
    data = read_private(path, "the keys in", MAX_FILE, remedy)
    try:
        return parse(msgspec.json.Decoder(Keyring).decode, data)
    except msgspec.DecodeError as error:
        raise EarmarkError(f"{path} holds no keys of Earmark: {error}", remedy) from error


def change_keyring(path: Path, change: Callable[[Keyring], Keyring]) -> None:
    """Write what `change` makes of the keys in a file; nobody else changes them meanwhile.

    Who reads them sees those before or those after.

    Raises:
        EarmarkError: they cannot be read or written, or others do not let go of them.
    """
    try:
        with locked(path.resolve().parent, PATIENCE):  # the file itself is replaced by another
            replace_private(path, _encode(change(read_keyring(path))))
    except BlockingIOError as error:
        raise EarmarkError(
            f"{path} is being changed by another process", "Nothing was changed; try again"
        ) from error
    except OSError as error:
        raise EarmarkError(
            f"cannot change {path}: {error.strerror}", "Check its folder's permissions"
        ) from error


def parse_public(text: str) -> bytes:
    """The 32 bytes of a public key in hexadecimal.

    Raises:
        EarmarkError: it is none.
    """
    try:
        return bytes.fromhex(msgspec.convert(text, Hex))
    except msgspec.ValidationError as error:
        raise EarmarkError(
            f"'{text}' is no public key, expected 64 hexadecimal digits",
            "'earmark keys show FILE' prints it where it was made",
        ) from error


def _encode(keyring: Keyring) -> bytes:
    return msgspec.json.format(msgspec.json.encode(keyring), indent=2) + b"\n"
