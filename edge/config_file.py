"""YAML files that override dataclass defaults: strict keys, typed values, one clear error."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from edge.errors import EarmarkError

T = TypeVar("T")
Values = dict[Any, Any]


class _Loader(yaml.SafeLoader):
    """Takes 1e-3 for a number, as YAML 1.2 does; PyYAML itself wants a point and a sign in it.

    And takes no key twice, as YAML forbids; PyYAML itself drops the first one.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Values:
        """The keys and values of a node.

        Raises:
            yaml.YAMLError: a key is there twice, or cannot be one.
        """
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key '{key.value}' is there twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_config(cls: type[T], path: Path | None) -> T:
    """The defaults of the dataclass `cls`, overridden by a YAML file.

    Raises:
        EarmarkError: as `read_values`, or the file names an unknown key (with a suggestion), or
            gives a value of the wrong type.
    """
    if path is None:
        return cls()
    values: Values = {}
    for file, own in reversed(read_values(path)):
        parse_config(cls, own, str(file))  # what is wrong is told of the file that it stands in
        values = merged(values, own)
    return parse_config(cls, values, str(path))


def read_values(path: Path) -> list[tuple[Path, Values]]:
    """The values of a YAML file and, after them, of each file that its `base:` begins with.

    A base is named from the folder of the file that names it; what a file says itself goes before.

    Raises:
        EarmarkError: a file is missing, is not YAML or holds no keys, or is its own base.
    """
    files: list[tuple[Path, Values]] = []
    while True:
        if path.resolve() in [file.resolve() for file, _ in files]:
            raise EarmarkError(
                f"the configuration {path} is its own base", "Remove one of the 'base:' lines"
            )
        values = _read(path)
        base = values.pop("base", None)
        files.append((path, values))
        if base is None:
            return files
        if not isinstance(base, str) or "\0" in base:
            raise EarmarkError(
                f"{path}: base is {base!r}, expected the path of a YAML file", "Correct the value"
            )
        path = path.parent / base


def merged(values: Values, over: Values) -> Values:
    """`values` with those of `over` in their place, key by key at every depth."""
    result = dict(values)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


def _read(path: Path) -> Values:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise EarmarkError(
            f"cannot read the configuration {path}: {error}",
            "Check the path given to --config, or as a base",
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise EarmarkError(f"{path} is not YAML: {_why(error)}", "Correct the file") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise _not_keys(str(path), "the configuration", values)
    return values


def _why(error: Exception) -> str:
    """What is wrong with the YAML, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem}, line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split())


def parse_config(cls: type[T], values: object, origin: str) -> T:
    """Build the dataclass `cls` from plain values; `origin` names their source in errors."""
    _check_keys(cls, values, origin, "")
    try:
        return msgspec.convert(values, cls)
    except msgspec.ValidationError as error:
        word = re.search(r"Expected `.*\bstr\b.*, got `bool`", str(error))
        remedy = "Put it in quotes: no, yes, on and off are more than words in YAML"
        raise EarmarkError(f"{origin}: {error}", remedy if word else "Correct the value") from error
    except EarmarkError as error:  # of the dataclass, which knows no file
        raise EarmarkError(f"{origin}: {error.what}", error.remedy) from error


def _check_keys(cls: type, values: object, origin: str, prefix: str) -> None:
    if not isinstance(values, dict):
        where = f"the key '{prefix.rstrip('.')}'" if prefix else "the configuration"
        raise _not_keys(origin, where, values)
    hints = typing.get_type_hints(cls)
    for key, value in values.items():
        if key not in hints:
            close = difflib.get_close_matches(str(key), hints, n=1)
            advice = f"Did you mean '{prefix}{close[0]}'?" if close else ""
            known = f"Known keys: {', '.join(hints)}"
            raise EarmarkError(
                f"{origin}: unknown key '{prefix}{key}'", f"{advice} {known}".strip()
            )
        choices = typing.get_args(hints[key]) if typing.get_origin(hints[key]) is Literal else ()
        if choices and value not in choices:
            raise EarmarkError(
                f"{origin}: {prefix}{key} is {value!r}, expected {', '.join(choices)}",
                "Choose one of these",
            )
        if isinstance(value, float) and math.isnan(value):  # below and above nothing
            raise EarmarkError(
                f"{origin}: {prefix}{key} is nan, expected a number", "Correct the value"
            )
        nested = _dataclass_in(hints[key])
        if nested is None or value is None:
            continue
        if typing.get_origin(hints[key]) is dict and isinstance(value, dict):
            for name, item in value.items():
                _check_keys(nested, item, origin, f"{prefix}{key}.{name}.")
        else:
            _check_keys(nested, value, origin, f"{prefix}{key}.")


def _not_keys(origin: str, where: str, values: object) -> EarmarkError:
    return EarmarkError(
        f"{origin}: {where} expects keys with values, got {type(values).__name__}",
        "Write 'key: value' lines",
    )


def _dataclass_in(hint: Any) -> type | None:
    """The dataclass that a field holds, also as `X | None` or `dict[str, X]`."""
    if typing.get_origin(hint) is dict:
        hint = typing.get_args(hint)[1]
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((o for o in options if isinstance(o, type) and dataclasses.is_dataclass(o)), None)
