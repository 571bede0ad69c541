"""The words are true: what README and --help show can be typed, and what they name is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from edge.cli import COMMANDS, main, parser
from edge.config_file import parse_config
from train.config import TrainConfig

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FOLDERS = ("edge", "train", "export")
PAGES = [*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))]
END = {"|", "&&", ">"}  # of a command, for the shell


def commands(text: str) -> list[list[str]]:
    """The words of each `earmark` command on a line of its own; two spaces begin a remark."""
    lines = re.findall(r"(?m)^(?:example:)? *(?:\w+\$ +)?(?:.* \| )?earmark (.*)", text)
    found = [shlex.split(re.split(r"\s{2,}", line)[0]) for line in lines]
    return [words[: next((i for i, w in enumerate(words) if w in END), None)] for words in found]


def shown(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    return capsys.readouterr().out.split("\nexample", 1)[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_help_are_right(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = commands("example" + shown(command, capsys))
    assert examples
    for words in examples:
        assert parser(None).parse_args(words).handler


def test_the_tour_of_the_readme_is_right_and_names_every_command() -> None:
    tour = re.findall(r"(?s)```\n(.*?)```", README.read_text(encoding="utf-8"))[1]
    named = set()
    for words in commands(tour):
        named.add(words[0])
        actions = words[1].split("|") if "|" in words[-1] else []
        for action in actions:
            with pytest.raises(SystemExit, match="0"):  # there is such an action
                main([words[0], action, "--help"])
        if not actions:
            assert parser(None).parse_args(words).handler
    assert named >= set(COMMANDS) - {"config"}  # which stands below it


def test_what_arecord_pipes_is_raw(capsys: pytest.CaptureFixture[str]) -> None:
    """By default it writes a WAV file, which 'earmark run -' refuses."""
    text = README.read_text(encoding="utf-8") + shown("run", capsys)
    lines = [line for line in text.splitlines() if "arecord" in line]
    assert lines
    assert all(" -t raw " in line for line in lines)


def test_commands_are_shown_with_an_endpoint_that_takes_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in commands(shown("control", capsys)):
        args = parser("control").parse_args(words)
        assert words[1] == "status" or args.at.startswith("ipc://") or args.curve


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_settings_of_training_that_the_readme_names_are_known() -> None:
    section = README.read_text(encoding="utf-8").split("## Making the encoder")[1]
    shown = re.findall(r"`(\w+: \{.*?\})`", section)
    assert shown
    for setting in shown:
        parse_config(TrainConfig, yaml.safe_load(setting), README.name)
