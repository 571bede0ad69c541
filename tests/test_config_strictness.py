"""Settings: every key is known or an error, with the key, what was expected and a remedy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.cli import main
from edge.config import Config, load
from edge.config_file import parse_config
from edge.errors import EarmarkError

EXAMPLE = Path(__file__).parents[1] / "configs" / "earmark.yaml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.yaml"


def test_without_a_file_all_is_default() -> None:
    assert load(None) == Config()


def test_an_empty_file_changes_nothing(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert load(file) == Config()


def test_a_file_changes_what_it_names_and_nothing_else(file: Path) -> None:
    file.write_text("stream: kitchen\nsource:\n  rate: 44100\n")
    source = dataclasses.replace(Config().source, rate=44_100)
    assert load(file) == dataclasses.replace(Config(), stream="kitchen", source=source)


@pytest.mark.parametrize("number", ["5e-1", "5.E-1", ".5e0", "50e-2", "+5.0e-01", "0.5"])
def test_a_number_may_be_written_as_everybody_writes_it(file: Path, number: str) -> None:
    file.write_text(f"health_seconds: {number}\n")
    assert load(file).health_seconds == 0.5


def test_several_sources_are_streams_by_name(file: Path) -> None:
    file.write_text("sources:\n  kitchen: {mic: USB}\n  door: {mic: '*Webcam*'}\n")
    streams = load(file).streams
    assert {name: source.mic for name, source in streams.items()} == {
        "kitchen": "USB",
        "door": "*Webcam*",
    }
    assert load(None).streams == {"mic": Config().source}


def test_the_example_shows_every_key_at_its_default() -> None:
    shown = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    assert shown == dataclasses.asdict(Config()), f"bring {EXAMPLE.name} up to date"
    assert load(EXAMPLE) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pipeline: {tracker: {horizon: {seconds: -1}}}", ["horizon.seconds is -1"]),
        ("pipeline: {tracker: {horizon: {seconds: .inf}}}", ["seconds is inf", "0 or more"]),
        ("pipeline: {tracker: {overlap_probability: 2}}", ["probability is 2.0", "0 to 1"]),
        ("log_level: 2001-99-99", ["is not YAML", "month"]),
        ("health_seconds: 0x_", ["is not YAML"]),
        ("[" * 3000 + "]" * 3000, ["is not YAML"]),
        ('base: "a\\0b"', ["base is", "expected the path"]),
        ("endpiont: ipc:///tmp/x", ["endpiont", "Did you mean 'endpoint'?"]),
        ("source: {rat: 8000}", ["source.rat", "Did you mean 'source.rate'?"]),
        ("pipeline: {gate: {hangover: 3}}", ["pipeline.gate.hangover", "hangover_frames"]),
        ("frobnicate: 1", ["frobnicate", "Known keys: stream, endpoint"]),
        ("7: 1", ["unknown key '7'"]),
        ("source: mic", ["'source'", "expects keys with values, got str"]),
        ("- stream", ["expects keys with values, got list"]),
        ("just words", ["expects keys with values, got str"]),
        ("health_seconds: soon", ["float", "health_seconds"]),
        ("health_seconds: '5'", ["float", "health_seconds"]),
        ("health_seconds: 0", ["health_seconds is 0", "above 0"]),
        ("health_seconds: -1", ["health_seconds is -1", "above 0"]),
        ("health_seconds: .nan", ["health_seconds is nan", "expected a number"]),
        ("pipeline: {tracker: {horizon: {merge_llr: .nan}}}", ["horizon.merge_llr is nan"]),
        ("health_seconds: .inf", ["health_seconds is inf", "above 0"]),
        ("stream: 5", ["str", "stream"]),
        ("stream: no", ["str", "bool", "stream", "Put it in quotes"]),
        ("source: {mic: on}", ["str", "bool", "mic", "Put it in quotes"]),
        ("stream: ''", ["stream is ''"]),
        ("stream: a/b", ["stream is 'a/b'", "Choose a plain name"]),
        (f"stream: {'ü' * 101}", ["stream has 202 bytes, expected 200 at most"]),
        ("source: {file: ''}", ["source.file is empty"]),
        ("curve: ''", ["curve is empty"]),
        ('store: "a\\0b"', ["store has a NUL in it"]),
        ("source: {rate: 0}", ["source.rate is 0"]),
        ("source: {channels: -2}", ["source.channels is -2"]),
        ("source: {format: mp3}", ["source.format is 'mp3', expected s16le, f32le"]),
        ("log: [plain]", ["log is ['plain'], expected auto, plain, json"]),
        ("source: {mic: USB, file: x.wav}", ["one source expected"]),
        ("source: {fast: 1}", ["bool", "fast"]),
        ("sources: {kitchen: {mik: USB}}", ["sources.kitchen.mik", "'sources.kitchen.mic'"]),
        ("sources: {a/b: {mic: USB}}", ["a key of sources is 'a/b'", "Choose a plain name"]),
        ("sources: {kitchen: USB}", ["'sources.kitchen'", "expects keys with values, got str"]),
        ("sources: [USB]", ["'sources'", "expects keys with values, got list"]),
        ("{source: {mic: USB}, sources: {door: {}}}", ["'source' or 'sources', got both"]),
        ("sources: {a: {file: '-'}, b: {file: '-'}}", ["standard input", "several"]),
        ("pipeline: {operating_point: {miss: 2}}", ["miss", "0.5"]),
        ("stream: [unclosed", ["is not YAML"]),
        ("source: {mic: USB}\nsource: {fast: true}", ["'source' is there twice, line 2, column 1"]),
        ("source: {mic: USB, mic: Cam}", ["'mic' is there twice"]),
        ("a: b: c", ["is not YAML", "line 1, column 5"]),
        ("base: 5", ["base is 5", "path of a YAML file"]),
        ("base: my.yaml", ["is its own base"]),
        ("base: none.yaml", ["cannot read the configuration", "none.yaml"]),
    ],
)
def test_a_mistake_is_named(file: Path, text: str, said: list[str]) -> None:
    file.write_text(text)
    with pytest.raises(EarmarkError) as error:
        load(file)
    assert error.value.remedy
    assert "\n" not in str(error.value)
    assert str(file.parent) in str(error.value)
    for words in said:
        assert words in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(EarmarkError, match="cannot read the configuration") as error:
            load(path)
        assert str(path) in str(error.value)


def test_bytes_are_no_configuration(file: Path) -> None:
    file.write_bytes(bytes(range(256)))
    with pytest.raises(EarmarkError):
        load(file)


@pytest.mark.parametrize("changes", [{"stream": " "}, {"health_seconds": -1.0}])
def test_options_of_the_command_line_are_checked_alike(changes: dict[str, Any]) -> None:
    with pytest.raises(EarmarkError):
        dataclasses.replace(Config(), **changes)


def test_a_file_goes_before_its_base_and_each_mistake_is_told_of_its_own_file(file: Path) -> None:
    rooms = file.parent / "rooms"
    rooms.mkdir()
    (rooms / "all.yaml").write_text("stream: hall\nsource: {rate: 44100, channels: 2}\n")
    (rooms / "kitchen.yaml").write_text("base: all.yaml\nsource: {rate: 8000}\n")
    file.write_text("base: rooms/kitchen.yaml\nstream: stove\n")
    source = dataclasses.replace(Config().source, rate=8000, channels=2)
    assert load(file) == dataclasses.replace(Config(), stream="stove", source=source)
    (rooms / "all.yaml").write_text("straem: hall\n")
    with pytest.raises(EarmarkError, match=r"all\.yaml: unknown key 'straem'"):
        load(file)


def test_what_is_shown_is_the_configuration_and_says_where_it_is_from(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = file.parent / "base.yaml"
    base.write_text("health_seconds: 2\nsource: {rate: 44100}\n")
    file.write_text("base: base.yaml\nsource: {channels: 2, file: '-'}\n")
    assert main(["config", "show", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert parse_config(Config, yaml.safe_load(shown), "shown") == load(file)
    origins = {line.split(":")[0].strip(): line.split("# ")[-1] for line in shown.splitlines()}
    assert origins["rate"] == origins["health_seconds"] == str(base)
    assert origins["channels"] == str(file)
    assert origins["endpoint"] == "default"
    assert main(["config", "show", "--config", str(file), "--changed"]) == 0
    changed = capsys.readouterr().out
    assert yaml.safe_load(changed) == {
        "health_seconds": 2.0,
        "source": {"file": "-", "rate": 44100, "channels": 2},
    }
