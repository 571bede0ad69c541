"""The command line: every mistake is one clear line and a non-zero exit, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from daemons import HANGING, tiny_daemon
from shell import earmark
from voices import CONVERSATION

from edge.cli import COMMANDS, main
from edge.errors import EarmarkError
from edge.publisher import Publisher


def assert_one_clear_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    complaint = result.stderr.splitlines()[-1]
    assert complaint.startswith("earmark: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in complaint


def test_version_and_help_work(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"]):
        with pytest.raises(SystemExit, match="0"):
            main(words)
    shown = capsys.readouterr().out
    assert "exit status" in shown
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert f"usage: earmark {command}" in shown
    assert "example" in shown


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["run", "--frobnicate"],
        ["run", "file.wav"],
        ["run", "--mic", "USB", "--wav", "x.wav"],
        ["run", "--wav", "x.wav", "-"],
        ["run", "-", "--format", "mp3"],
        ["run", "-", "--rate", "fast"],
        ["demo", "--mic", "--fast"],
        ["listen", "one", "two"],
    ],
)
def test_a_wrong_command_line_is_told_with_the_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "usage: earmark" in capsys.readouterr().err


def test_an_unknown_key_in_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("endpiont: ipc:///tmp/x\n")
    assert_one_clear_line(
        earmark("run", "--config", str(file)), str(file), "endpiont", "Did you mean 'endpoint'?"
    )


def test_one_name_for_several_streams(tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text("sources: {kitchen: {mic: USB}, door: {}}\n")
    words = ("run", "--config", str(config), "--stream", "hall")
    assert_one_clear_line(earmark(*words), "--stream names one stream")
    other = ("--endpoint", f"ipc://{tmp_path}/x", "--wav", "x.wav")
    assert_one_clear_line(earmark(*words, *other), "cannot read x.wav")


@pytest.mark.parametrize(
    ("config", "words", "said"),
    [
        ("", ["--mic", "USB", "--rate", "8000"], "rate is of raw PCM on standard input alone"),
        ("", ["--mic", "USB", "--rate", "16000"], "rate is of raw PCM"),
        ("", ["--channels", "2"], "channels is of raw PCM"),
        ("", ["--wav", "x.wav", "--format", "f32le"], "format is of raw PCM"),
        ("", ["--mic", "USB", "--fast"], "fast is of a file alone"),
        ("", ["-", "--fast"], "fast is of a file alone"),
        ("", ["--satellite", "ipc://ears", "--fast"], "fast is of a file alone"),
        ("source: {rate: 8000}", [], "rate is of raw PCM"),
        ("sources: {hall: {mic: USB}, door: {mic: Cam, channels: 2}}", [], "source of 'door'"),
        ("sources: {hall: {file: '-', fast: true}}", [], "fast is of a file alone"),
    ],
)
def test_a_setting_of_another_kind_of_source_is_not_ignored(
    tmp_path: Path, config: str, words: list[str], said: str
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(config)
    result = earmark("run", "--config", str(file), "--endpoint", f"ipc://{tmp_path}/x", *words)
    assert_one_clear_line(result, said, "Leave")


def test_another_source_than_the_configurations_takes_only_what_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("source: {file: '-', rate: 8000}\n")
    words = ("--config", str(file), "--endpoint", f"ipc://{tmp_path}/x", "--wav", "x.wav")
    assert_one_clear_line(earmark("run", *words), "cannot read x.wav")


def test_a_missing_configuration() -> None:
    assert_one_clear_line(earmark("run", "--config", "missing.yaml"), "missing.yaml", "--config")


def test_a_file_without_a_name_does_not_open_the_microphone(tmp_path: Path) -> None:
    """As of `--wav "$FILE"` where no such variable is set."""
    endpoint = f"ipc://{tmp_path}/x"
    assert_one_clear_line(earmark("run", "--wav", "", "--endpoint", endpoint), "file is empty")
    assert_one_clear_line(earmark("satellite", endpoint, "--wav", ""), "cannot read")


def test_a_port_in_use(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", tmp_path) as other:
        result = earmark("run", "--wav", "x.wav", "--endpoint", other.endpoint)
    assert_one_clear_line(result, other.endpoint, "in use", "--endpoint")


def test_an_endpoint_that_other_machines_could_reach() -> None:
    result = earmark("run", "--wav", "x.wav", "--endpoint", "tcp://0.0.0.0:7707")
    assert_one_clear_line(result, "tcp://0.0.0.0:7707", "other machines", "loopback")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    result = earmark(
        "run", "--wav", "x", "--endpoint", f"ipc://{tmp_path}/x", "--model", str(tmp_path)
    )
    assert_one_clear_line(result, str(tmp_path), "earmark-export")


def test_listening_at_no_endpoint() -> None:
    result = earmark("listen", "nonsense")
    assert_one_clear_line(result, "nonsense", "tcp://ADDRESS:PORT")


@pytest.mark.parametrize(
    "words",
    [
        ["listen", "ipc:///tmp/\udcff"],
        ["satellite", "ipc:///tmp/\udcff"],
        ["run", "--mic", "\udcff"],
        ["run", "--endpoint", "ipc:///tmp/\udcff"],
    ],
)
def test_names_in_another_encoding(words: list[str]) -> None:
    assert_one_clear_line(earmark(*words), r"\udcff' is no text in UTF-8")


def test_a_working_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["diarize", str(CONVERSATION), "--rttm", "found.rttm"]) == 1
    assert "is gone. Begin it in another one" in capsys.readouterr().err


def test_listen_prints_json_until_the_end(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path / 'events'}"
    with tiny_daemon(endpoint):
        result = earmark("listen", endpoint, "--json", "--until-end")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 7
    assert '"source.opened"' in lines[0]
    assert '"final":true' in lines[-1]


def test_listen_prints_lines_for_people(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path / 'events'}"
    with tiny_daemon(endpoint, "--lost", "8000"):
        result = earmark("listen", endpoint, "--until-end")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert all(line.startswith("tiny: ") for line in lines)  # there may be others later
    assert [line.split("  ")[-1] for line in lines] == [
        "hearing script, 16000 Hz, 1 channel",
        "audio was lost",
        "no more audio: the source ended",
    ]


def test_listen_shows_only_the_topics_asked_for_and_still_sees_the_end(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path / 'events'}"
    with tiny_daemon(endpoint):
        result = earmark("listen", endpoint, "--json", "--until-end", "--topic", "tiny/source")
    assert result.returncode == 0
    assert [line.split('"type":"')[1].split('"')[0] for line in result.stdout.splitlines()] == [
        "source.opened",
        "source.lost",
    ]


def test_a_reader_that_goes_away_is_no_crash(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path / 'events'}"
    with tiny_daemon(endpoint, "--blocks", "1000000", "--pace", "0.001"):
        listener = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", "listen", endpoint, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert listener.stdout is not None
        assert listener.stderr is not None
        assert listener.stdout.readline()
        listener.stdout.close()
        assert listener.wait(HANGING) == 141
        assert b"Traceback" not in listener.stderr.read()
        listener.stderr.close()


@pytest.mark.parametrize(
    ("error", "status"), [(EarmarkError("what. it is", "Do this"), 1), (KeyboardInterrupt(), 130)]
)
def test_exit_statuses(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("edge.client.Subscriber.__init__", fail)
    assert main(["listen"]) == status
    assert capsys.readouterr().err == ("earmark: what. it is. Do this\n" if status == 1 else "")


@pytest.mark.parametrize(
    ("program", "words", "package", "content"),
    [
        ("earmark", ["identify", "x.wav"], "numpy", "raise KeyboardInterrupt"),
        (
            "earmark",  # as webrtcvad does
            ["identify", "x.wav"],
            "webrtcvad",
            "try: raise KeyboardInterrupt\nexcept NotYetImported: pass",
        ),
        (
            "earmark",  # as packages in C do
            ["doctor"],
            "numpy",
            "try: raise KeyboardInterrupt\n"
            "except KeyboardInterrupt as error: raise ImportError('initialization') from error",
        ),
        ("earmark-train", [], "torch", "raise KeyboardInterrupt"),
        ("earmark-export", [], "torch", "raise KeyboardInterrupt"),
        ("earmark-trials", [], "scipy", "raise KeyboardInterrupt"),
    ],
)
def test_ctrl_c_while_packages_load_is_no_traceback(
    tmp_path: Path, program: str, words: list[str], package: str, content: str
) -> None:
    (tmp_path / f"{package}.py").write_text(content)
    project = Path(__file__).parents[1] / "pyproject.toml"
    module, function = tomllib.loads(project.read_text())["project"]["scripts"][program].split(":")
    code = f"import sys; from {module} import {function}; sys.exit({function}())"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=False,
    )
    assert (result.returncode, result.stderr) == (130, "")


def test_a_command_imports_only_what_it_needs() -> None:
    """Start-up stays short, and `earmark doctor` works where other commands cannot be imported."""
    program = (
        "import sys; from edge.cli import main\n"
        "try: main(['{}', '--help'])\n"
        "except SystemExit: print(*sorted(sys.modules), file=sys.stderr)"
    )
    for command, unneeded in {
        "doctor": {"numpy", "zmq", "rich", "onnxruntime", "soundfile", "edge._native"},
        "listen": {"numpy", "rich", "onnxruntime", "soundfile", "edge._native"},
        "run": {"rich", "sounddevice", "torch"},
        "demo": {"sounddevice", "torch"},
    }.items():
        result = subprocess.run(
            [sys.executable, "-c", program.format(command)],
            capture_output=True,
            text=True,
            timeout=HANGING,
            check=True,
        )
        assert "edge.cli" in result.stderr
        assert not unneeded & set(result.stderr.split())


def test_names_in_errors_cannot_steer_the_terminal(tmp_path: Path) -> None:
    result = earmark("diarize", str(tmp_path / "\x1b]0;mine\x07.wav"))
    assert result.returncode == 1
    assert "?]0;mine?.wav" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["diarize"],
        ["diarize", "x.wav", "--rttm"],
        ["speakers", "list", "--store"],
        ["web", "--token"],
    ],
)
def test_a_path_that_cannot_be_looked_at_is_told(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a name that is too long, or in a folder of another user: no such file is one thing."""
    name = "x" * 1000
    assert main([*words, name]) == 1
    complaint = (
        f"earmark: cannot use '{name}': File name too long. Check the path, and who may use it"
    )
    assert capsys.readouterr().err.splitlines() == [complaint]


def test_a_full_disk_behind_the_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "edge.cli", "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr == "earmark: cannot write the output: No space left on device\n"


def test_a_closed_input_or_error_output_is_no_crash(tmp_path: Path) -> None:
    command = f"{sys.executable} -m edge.cli run - --endpoint ipc://{tmp_path}/e"
    command += f" --store {tmp_path}/speakers.db"
    closed = subprocess.run(
        f"{command} <&-", shell=True, capture_output=True, text=True, check=False
    )
    assert closed.returncode == 1
    assert "standard input is closed" in closed.stderr
    assert "Traceback" not in closed.stderr
    silent = subprocess.run(
        f"head -c 64000 /dev/zero | {command} 2>&-", shell=True, capture_output=True, check=False
    )
    assert silent.returncode == 0


def test_an_answer_does_not_hang_on_somebody_reading_it() -> None:
    command = f"{sys.executable} -m edge.cli config show"
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        result = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, check=False)
        assert (result.returncode, result.stderr) == (0, b"")


def test_letters_that_the_terminal_lacks_are_no_crash(tmp_path: Path) -> None:
    config = tmp_path / "Küche.yaml"
    config.write_text("log: plain")
    result = subprocess.run(
        [sys.executable, "-m", "edge.cli", "config", "show", "--config", str(config)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "K\\xfcche.yaml" in result.stdout
