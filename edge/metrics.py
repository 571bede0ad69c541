"""Metrics for Prometheus over HTTP, on loopback alone: they are not encrypted.

They hold counts and times, never the name of a speaker. One request is served at a time, so that
nobody can make the daemon hold many.
"""

from __future__ import annotations

import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge import __version__, log
from edge.endpoints import loopback_address
from edge.errors import EarmarkError
from edge.figures import BOUNDS, Figures
from edge.publisher import Traffic

PATIENCE = 5.0  # seconds for a client to send its request
TICK = 0.1  # seconds within which a close is noticed


class MetricsServer:
    """Serves the metrics in a thread of its own until it is closed; a context manager."""

    def __init__(
        self, address: str, streams: Mapping[str, Figures], traffic: Callable[[], Traffic]
    ) -> None:
        """Begin to serve.

        Args:
            address: HOST:PORT on loopback.
            streams: by name.
            traffic: of the publisher, as it is at present.

        Raises:
            EarmarkError: not a loopback address, or it is in use.
        """
        registry = CollectorRegistry()
        registry.register(_Figures(streams, traffic))
        ProcessCollector(registry=registry)
        try:
            self._server = _Server(loopback_address(address), _Handler)
        except OSError as error:
            raise EarmarkError(
                f"cannot serve metrics on {address}: {error.strerror}",
                "Choose another with 'metrics: HOST:PORT' in the configuration",
            ) from error
        self._server.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(TICK,), name="earmark-metrics", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.hang_up()
        self._server.shutdown()
        self._server.server_close()


class _Server(WSGIServer):
    """Serves one at a time, and whoever it is no longer once it is told to hang up."""

    _client: socket.socket | None = None  # the last one
    _closing = False

    def verify_request(self, request: Any, client_address: Any) -> bool:
        self._client = request
        return not self._closing  # `hang_up` sets it before it looks for a client

    def hang_up(self) -> None:
        """Serve nobody any more; who is being served is cut off."""
        self._closing = True
        if self._client is not None:
            with suppress(OSError):  # he may be gone
                self._client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not self._closing:  # who is cut off by `hang_up` has failed nobody
            said = f"metrics were not served: {type(error).__name__}: {error}"
            log.warning("metrics.failed", said)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would ask the DNS for its own name
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a scrape is no event."""


class _Figures(Collector):
    def __init__(self, streams: Mapping[str, Figures], traffic: Callable[[], Traffic]) -> None:
        self._streams = streams
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("earmark", "This program", value={"version": __version__})
        yield self._gauge("up", "Whether there is a source at present", lambda f: f.hears)
        yield self._count("samples", "Position, in samples at 16 kHz", lambda f: f.samples)
        yield self._gauge("lag_seconds", "From audio to events, latest block", lambda f: f.lag)
        yield self._gauge("drift_ppm", "By how much the source's clock is fast", lambda f: f.drift)
        yield self._gauge("level_dbfs", "Of the input, to the last heartbeat", lambda f: f.level)
        yield self._gauge("queued_blocks", "Read and not yet processed", lambda f: f.queued)
        yield self._gauge("shedding_level", "What is left undone, 0 to 2", lambda f: f.shedding)
        yield self._gauge("speakers", "Voices known at present", lambda f: f.speakers)
        yield self._count("segments", "Final ones", lambda f: f.segments)
        yield self._count("refused_messages", "Of no known satellite", lambda f: f.refused)
        lost = CounterMetricFamily(
            "earmark_stream_lost_samples", "Never heard", labels=["stream", "kind"]
        )
        events = CounterMetricFamily(
            "earmark_stream_events", "Published", labels=["stream", "family"]
        )
        hops = HistogramMetricFamily(
            "earmark_stream_hop_seconds", "To process a block", labels=["stream"]
        )
        for name, figures in self._streams.items():
            for kind, samples in figures.lost.items():
                lost.add_metric([name, kind], samples)
            for family, count in sorted(figures.events.copy().items()):
                events.add_metric([name, family], count)
            sums = itertools.accumulate(figures.hops.counts.copy())
            bounds = [*map(str, BOUNDS), "+Inf"]
            hops.add_metric([name], list(zip(bounds, sums, strict=True)), figures.hops.total)
        yield from (lost, events, hops)
        traffic = self._traffic()
        for kind, text in (
            ("requests", "Asked of the daemon, commands included"),
            ("malformed", "Messages that were no request"),
            ("refused", "Connections of clients without a right"),
            ("unwritten", "Events that the journal could not keep"),
        ):
            yield CounterMetricFamily(f"earmark_{kind}", text, value=getattr(traffic, kind))

    def _gauge(
        self, name: str, text: str, value: Callable[[Figures], float | None]
    ) -> GaugeMetricFamily:
        metric = GaugeMetricFamily(f"earmark_stream_{name}", text, labels=["stream"])
        for stream, figures in self._streams.items():
            if (number := value(figures)) is not None:
                metric.add_metric([stream], number)
        return metric

    def _count(self, name: str, text: str, value: Callable[[Figures], int]) -> CounterMetricFamily:
        metric = CounterMetricFamily(f"earmark_stream_{name}", text, labels=["stream"])
        for stream, figures in self._streams.items():
            metric.add_metric([stream], value(figures))
        return metric
