"""A daemon, put together from its settings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from edge import log
from edge.config import Config, SourceConfig
from edge.control import Controller
from edge.daemon import Stream, serve
from edge.encoder import Model
from edge.errors import EarmarkError
from edge.journal import default_journal
from edge.keeper import Keeper
from edge.pipeline import Pipeline
from edge.publisher import Publisher
from edge.recalibration import recalibrate
from edge.signals import Reload, Stop
from edge.sources import Source
from edge.sources.file import FileSource
from edge.sources.microphone import MicrophoneSource
from edge.sources.pipe import PipeSource
from edge.sources.satellite import SatelliteSource
from edge.state import alone_with, read_state
from edge.store import Store
from edge.systemd import Notifier

STORE_PATIENCE = 1.0  # seconds; audio waits meanwhile, and a microphone's ring holds five
WAIT_SECONDS = 0.1  # within which a signal is noticed before anybody listens


def run_daemon(read_config: Callable[[], Config], stop: Stop, reload: Reload) -> None:
    """Serve until all sources have ended, or `stop` is asked.

    Args:
        read_config: gives the settings as they are wanted now; called at every `reload` again.
        stop: asked by a signal handler, maybe already.
        reload: likewise.

    Raises:
        EarmarkError: a bad setting, source, model or store, or an endpoint in use.
    """
    config = read_config()
    log.set_up(config.log, config.log_level)
    journal = Path(config.journal) if config.journal else default_journal(config.endpoint)
    curve = Path(config.curve) if config.curve else None
    state = alone_with(Path(config.state)) if config.state else nullcontext()
    with Publisher(config.endpoint, journal, curve, config.msgpack) as publisher, state:
        model = Model.load(Path(config.model) if config.model else None)
        recalibrate(model, Path(config.calibration) if config.calibration else None)

        def open_store(create: bool = False) -> Store:
            return Store(
                Path(config.store) if config.store else None,
                model,
                create,
                key=Path(config.key) if config.key else None,
                patience=STORE_PATIENCE,
            )

        with open_store(create=True) as store:
            profiles = store.profiles()
        pipelines = {name: Pipeline(model, profiles, config.pipeline) for name in config.streams}
        streams = [
            _stream(name, source, pipelines[name], model, config)
            for name, source in config.streams.items()
        ]
        controller = Controller(
            config=config,
            read_config=read_config,
            model=model,
            open_store=open_store,
            pipelines=pipelines,
            keepers={s.name: s.keeper for s in streams if s.keeper is not None},
            publisher=publisher,
            stop=stop.ask,
            reload=reload,
        )
        names = ", ".join(f"'{name}'" for name in pipelines)
        packed = publisher.msgpack_endpoint
        also = f", and as MessagePack on {packed}" if packed else ""
        log.info("publishing", f"publishing {names} on {publisher.endpoint}{also}")
        notifier = Notifier()
        with metrics_of(streams, publisher, config.metrics):
            if not config.wait_for_subscriber or _somebody_listens(
                publisher, notifier, stop, between=controller.carry_out
            ):
                serve(
                    streams,
                    publisher,
                    stop,
                    health_seconds=lambda: controller.config.health_seconds,
                    between=controller.carry_out,
                    notifier=notifier,
                )
    log.info("stopped", "the daemon has ended")


def _somebody_listens(
    publisher: Publisher, notifier: Notifier, stop: Stop, between: Callable[[], None]
) -> bool:
    """Wait for a subscriber; whether there is one before `stop` is asked."""
    notifier.ready()  # else a service manager would give it up before anybody comes
    notifier.status("waiting for a subscriber")
    while not publisher.wait_for_subscriber(WAIT_SECONDS):
        notifier.alive()
        between()
        if stop.asked:
            notifier.stopping()
            return False
    return True


def _stream(
    name: str, source: SourceConfig, pipeline: Pipeline, model: Model, config: Config
) -> Stream:
    """A stream that goes on with the voices of its last run, where they are kept.

    Raises:
        EarmarkError: they cannot be read.
    """
    keeper = None
    if config.state:
        path = Path(config.state) / f"{name}.voices"
        before = read_state(path, model)
        if before is not None:
            pipeline.restore(before, elsewhere=False)
        keeper = Keeper(path, pipeline)
    curve = Path(config.curve) if config.curve else None
    return Stream(name, partial(open_source, source, curve), pipeline, keeper)


def open_source(config: SourceConfig, curve: Path | None) -> Source:
    """The source that the settings name; `curve` holds the keys of satellites.

    Raises:
        EarmarkError: it cannot be opened.
    """
    if config.file == "-":
        if sys.stdin is None:
            raise EarmarkError("standard input is closed", "Pipe audio into the command")
        return PipeSource(sys.stdin.buffer, config.rate, config.channels, config.format)
    if config.file is not None:
        return FileSource(Path(config.file), realtime=not config.fast)
    if config.satellite is not None:
        return SatelliteSource(config.satellite, curve)
    return MicrophoneSource(config.mic)


def metrics_of(
    streams: Sequence[Stream], publisher: Publisher, address: str | None
) -> AbstractContextManager[object]:
    """Serves metrics while it is entered, where an address is given.

    Raises:
        EarmarkError: the address is in use.
    """
    if address is None:
        return nullcontext()
    from edge.metrics import MetricsServer  # noqa: PLC0415 (its library is not for everybody)

    figures = {stream.name: stream.figures for stream in streams}
    return MetricsServer(address, figures, lambda: publisher.traffic)
