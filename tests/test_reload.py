"""Risk: a running daemon takes half of a new configuration, or dies of a bad one."""

from __future__ import annotations

import dataclasses
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from daemons import HANGING, next_event
from running import basic, running, write_config
from voices import CONVERSATION, ENROLMENT, RATE, ada, beginning, events_of, model, pipeline

from edge.client import Subscriber
from edge.config import Config, SourceConfig
from edge.events import Health
from edge.pipeline import Pipeline, PipelineConfig
from edge.protocol import Done, ReloadCommand
from edge.reload import reloaded
from edge.requests import command
from edge.scoring import OperatingPoint
from edge.store import Store
from edge.tracker_config import TrackerConfig


def test_what_needs_a_restart_is_named_and_left() -> None:
    now = Config(sources={"kitchen": SourceConfig(mic="USB")})
    gate = dataclasses.replace(now.pipeline.gate, detector="both", hangover_frames=5)
    wanted = dataclasses.replace(
        now,
        endpoint="ipc:///elsewhere",
        sources={"kitchen": SourceConfig(mic="Webcam")},
        health_seconds=1.0,
        pipeline=dataclasses.replace(now.pipeline, gate=gate),
    )
    config, taken, left = reloaded(now, wanted)
    assert sorted(taken) == ["health_seconds", "pipeline.gate.hangover_frames"]
    assert sorted(left) == ["endpoint", "pipeline.gate.detector", "sources.kitchen.mic"]
    assert (config.endpoint, config.sources) == (now.endpoint, now.sources)
    assert config.pipeline.gate.detector == "neural"
    assert reloaded(config, wanted) == (config, [], left)


def test_new_thresholds_are_those_of_a_daemon_begun_with_them() -> None:
    config = PipelineConfig(
        tracker=TrackerConfig(max_gap=2, max_segment=30, look_back=40),
        operating_point=OperatingPoint(false_accept=0.2, miss=0.2),
    )
    begun = Pipeline(model(), [ada()], config)
    changed = pipeline()
    changed.reconfigure(config)
    assert events_of([beginning()], changed) == events_of([beginning()], begun)
    midway = pipeline()
    half = midway.push(beginning()[: 10 * RATE])
    midway.reconfigure(config)
    rest = midway.push(beginning()[10 * RATE :]) + midway.flush()
    assert half + rest != events_of([beginning()], pipeline())


def test_a_running_daemon_takes_a_good_configuration_and_refuses_a_bad_one(tmp_path: Path) -> None:
    with running(tmp_path, health_seconds=3600) as daemon:
        settings = basic(tmp_path)
        daemon.line("publishing")
        with Subscriber(settings["endpoint"]) as events:
            assert events.join(HANGING)
            write_config(daemon.config, settings | {"health_secnods": 0.05})
            daemon.process.send_signal(signal.SIGHUP)
            told = daemon.line("command.failed")
            assert told["level"] == "error"
            assert "Did you mean 'health_seconds'?" in told["what"]
            assert "nothing was changed" in told["what"]
            with Store(Path(settings["store"]), model()) as store:
                store.enrol(ada())
            new = settings | {"health_seconds": 0.05, "journal": "elsewhere"}
            write_config(daemon.config, new)
            daemon.process.send_signal(signal.SIGHUP)
            told = daemon.line("command")
            assert (
                "1 enrolled; changed: health_seconds; left until a restart: journal" in told["what"]
            )
            while not (isinstance(beat := next_event(events).event, Health) and beat.speakers == 1):
                pass
        write_config(daemon.config, settings)
        done = command(settings["endpoint"], ReloadCommand(id=1))
        assert done == Done(id=1, what="1 enrolled; changed: health_seconds")
        daemon.process.terminate()
        assert daemon.process.wait(HANGING) == 0


HANGS_UP = """
import signal, sys

class Hangup:
    def find_spec(self, name, path=None, target=None):
        if name == "edge.pipeline":
            signal.raise_signal(signal.SIGHUP)

sys.meta_path.insert(0, Hangup())
from edge.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_hangup_while_it_starts_does_not_end_it(tmp_path: Path) -> None:
    """It comes while libraries load, which takes longest; what it asks for is done later."""
    config = tmp_path / "earmark.yaml"
    write_config(config, basic(tmp_path) | {"source": {"file": str(ENROLMENT), "fast": True}})
    result = subprocess.run(
        [sys.executable, "-c", HANGS_UP, "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "reload was carried out" in result.stderr


def test_the_closing_of_its_terminal_still_ends_it(tmp_path: Path) -> None:
    """It sends SIGHUP too, and a microphone that nobody sees must not stay open."""
    config = tmp_path / "earmark.yaml"
    write_config(config, basic(tmp_path) | {"source": {"file": str(CONVERSATION)}, "log": "plain"})
    child, terminal = pty.fork()
    if child == 0:
        words = [sys.executable, "-m", "edge.cli", "run", "--config", str(config)]
        os.execv(sys.executable, words)
    shown = b""
    while b"hearing" not in shown:
        shown += os.read(terminal, 4096)
    os.kill(child, signal.SIGHUP)  # by a person: it reloads
    while b"reload was carried out" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)  # and was not killed
