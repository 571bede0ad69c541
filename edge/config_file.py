"""YAML files that override dataclass defaults: strict keys, typed values, one clear error."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from edge.errors import EarmarkError

T = TypeVar("T")


def load_config(cls: type[T], path: Path | None) -> T:
    """The defaults of the dataclass `cls`, overridden by a YAML file.

    Raises:
        EarmarkError: the file is missing or not YAML, names an unknown key (with a suggestion),
            or gives a value of the wrong type.
    """
    if path is None:
        return cls()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EarmarkError(
            f"cannot read the configuration {path}: {error}", "Check the path given to --config"
        ) from error
    except yaml.YAMLError as error:
        raise EarmarkError(f"{path} is not YAML: {error}", "Correct the file") from error
    return parse_config(cls, values if values is not None else {}, str(path))


def parse_config(cls: type[T], values: object, origin: str) -> T:
    """Build the dataclass `cls` from plain values; `origin` names their source in errors."""
    _check_keys(cls, values, origin, "")
    try:
        return msgspec.convert(values, cls)
    except msgspec.ValidationError as error:
        raise EarmarkError(f"{origin}: {error}", "Correct the value") from error


def _check_keys(cls: type, values: object, origin: str, prefix: str) -> None:
    if not isinstance(values, dict):
        where = f"the key '{prefix.rstrip('.')}'" if prefix else "the configuration"
        raise EarmarkError(
            f"{origin}: {where} expects keys with values, got {type(values).__name__}",
            "Write 'key: value' lines",
        )
    hints = typing.get_type_hints(cls)
    for key, value in values.items():
        if key not in hints:
            close = difflib.get_close_matches(str(key), hints, n=1)
            advice = f"Did you mean '{prefix}{close[0]}'?" if close else ""
            known = f"Known keys: {', '.join(hints)}"
            raise EarmarkError(
                f"{origin}: unknown key '{prefix}{key}'", f"{advice} {known}".strip()
            )
        nested = _dataclass_in(hints[key])
        if nested is None or value is None:
            continue
        if typing.get_origin(hints[key]) is dict and isinstance(value, dict):
            for name, item in value.items():
                _check_keys(nested, item, origin, f"{prefix}{key}.{name}.")
        else:
            _check_keys(nested, value, origin, f"{prefix}{key}.")


def _dataclass_in(hint: Any) -> type | None:
    """The dataclass that a field holds, also as `X | None` or `dict[str, X]`."""
    if typing.get_origin(hint) is dict:
        hint = typing.get_args(hint)[1]
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((o for o in options if isinstance(o, type) and dataclasses.is_dataclass(o)), None)
