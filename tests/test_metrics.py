"""Risk: metrics are wrong, are open to other machines, or keep the daemon from its work."""

from __future__ import annotations

import re
import socket
import threading
import urllib.request
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler

import pytest
from daemons import HANGING, next_event
from prometheus_client.parser import text_string_to_metric_families
from running import basic, running
from tiny_daemon import SECOND

from edge import log
from edge.client import Subscriber
from edge.config import Config
from edge.errors import EarmarkError
from edge.events import Health, SourceOpened
from edge.figures import Figures, Histogram, Interval
from edge.metrics import MetricsServer
from edge.publisher import Traffic

NOTHING = Traffic(0, 0, 0, 0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def scraped(address: str) -> dict[str, float]:
    """Every sample by its name and labels."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=HANGING) as reply:
        text = reply.read().decode()
    return {
        " ".join(
            [sample.name, *(sample.labels[key] for key in sorted(sample.labels))]
        ): sample.value
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    }


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:9107", "192.168.1.5:9107", "*:9107", "[::]:9107", "host:1", ":1", "127.0.0.1"],
)
def test_other_machines_are_not_served(address: str) -> None:
    with pytest.raises(EarmarkError, match=r"refused to serve|is no address"):
        Config(metrics=address)


def test_a_running_daemon_is_measured(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with running(tmp_path, metrics=address, health_seconds=0.1) as daemon:
        assert daemon.process.stdin is not None
        with Subscriber(basic(tmp_path)["endpoint"]) as events:
            assert events.join(HANGING)
            daemon.process.stdin.write(b"\x00\x40" * (2 * SECOND))  # half of full scale
            daemon.process.stdin.flush()
            while not (
                isinstance(h := next_event(events).event, Health) and h.sample == 2 * SECOND
            ):
                pass
        found = scraped(address)
    assert found["earmark_stream_samples_total mic"] == 2 * SECOND
    assert found["earmark_stream_up mic"] == 1
    assert found["earmark_stream_lost_samples_total gap mic"] == 0
    assert found["earmark_stream_hop_seconds_count mic"] >= 20
    assert found["earmark_stream_hop_seconds_bucket +Inf mic"] >= 20
    assert found["earmark_stream_events_total health mic"] >= 1
    assert found["earmark_requests_total"] >= 1
    assert found["process_resident_memory_bytes"] > 1 << 20
    assert found["process_cpu_seconds_total"] > 0


def test_the_metrics_that_are_named_in_the_words_are_served() -> None:
    page = Path(__file__).parents[1] / "edge" / "FAULTS.md"
    named = set(re.findall(r"earmark_\w+", page.read_text(encoding="utf-8")))
    assert named
    address = f"127.0.0.1:{free_port()}"
    with MetricsServer(address, {}, lambda: NOTHING):
        assert scraped(address).keys() >= named


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EarmarkError, match="cannot serve metrics"):
            MetricsServer(address, {}, lambda: NOTHING)


def test_one_who_connects_and_says_nothing_does_not_stay_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("plain", "warning")
    monkeypatch.setattr("edge.metrics._Handler.timeout", 0.2)
    address = f"127.0.0.1:{free_port()}"
    with MetricsServer(address, {"mic": Figures(samples=1 << 40, refused=3)}, lambda: NOTHING):
        host, port = address.split(":")
        with socket.create_connection((host, int(port))):
            found = scraped(address)
    assert found["earmark_stream_samples_total mic"] == 1 << 40
    (line,) = capsys.readouterr().err.splitlines()
    assert "metrics were not served: TimeoutError" in line
    assert found["earmark_stream_refused_messages_total mic"] == 3


def test_one_who_connects_and_says_nothing_does_not_hold_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = threading.Event()

    def handle(handler: WSGIRequestHandler) -> None:
        served.set()
        WSGIRequestHandler.handle(handler)

    monkeypatch.setattr("edge.metrics._Handler.timeout", None)
    monkeypatch.setattr("edge.metrics._Handler.handle", handle)
    port = free_port()
    server = MetricsServer(f"127.0.0.1:{port}", {}, lambda: NOTHING)
    ending = threading.Thread(target=server.__exit__, daemon=True)
    with socket.create_connection(("127.0.0.1", port)):
        assert served.wait(HANGING)
        ending.start()
        ending.join(HANGING)
        assert not ending.is_alive()


def test_figures_of_an_interval_are_what_they_say() -> None:
    import numpy as np

    interval = Interval()
    assert (interval.level, interval.percentile(0.5), interval.worst) == (None, 0.0, 0.0)
    for lag in range(1, 101):
        interval.hear(np.full(10, 0.1, dtype=np.float32), lag / 100)
    assert interval.level == pytest.approx(-20.0, abs=1e-3)
    assert (interval.percentile(0.5), interval.percentile(0.99)) == (0.5, 0.99)
    assert interval.worst == 1.0
    silent = Interval()
    silent.hear(np.zeros(10, dtype=np.float32), 0.0)
    assert silent.level == pytest.approx(-120.0)
    deafening = Interval()  # as 16-bit samples are that are taken for floats
    deafening.hear(np.full(1600, 1e30, dtype=np.float32), 0.0)
    assert deafening.level == pytest.approx(600.0)
    hops = Histogram()
    for value in (0.001, 0.0011, 100.0):
        hops.add(value)
    assert (hops.counts[0], hops.counts[1], hops.counts[-1]) == (1, 1, 1)
    figures = Figures()
    figures.count(SourceOpened("x", 1, 1))
    assert figures.events == {"source": 1}
