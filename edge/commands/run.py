"""`earmark run`: the daemon."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from edge import log
from edge.config import SOURCE_KINDS, Config, SourceConfig, load
from edge.control import Controller
from edge.daemon import Stream, serve
from edge.encoder import Model
from edge.errors import FAILED, EarmarkError
from edge.journal import default_journal
from edge.keeper import Keeper
from edge.pipeline import Pipeline
from edge.publisher import Publisher
from edge.recalibration import recalibrate
from edge.signals import reload_on_hangup, stop_on_signals
from edge.sources import Source
from edge.sources.file import FileSource
from edge.sources.microphone import MicrophoneSource
from edge.sources.pipe import PipeSource
from edge.sources.satellite import SatelliteSource
from edge.state import alone_with, read_state
from edge.store import Store
from edge.systemd import Notifier

EPILOG = """\
examples:
  earmark run                                       the default microphone
  earmark run --mic USB --mic '*Webcam*'            two at once, as streams mic1 and mic2
  earmark run --mic USB --endpoint ipc:///tmp/earmark.sock
  earmark run --wav meeting.flac --fast
  earmark run --satellite tcp://0.0.0.0:7711 --curve daemon.keys     see 'earmark satellite --help'
  arecord -q -f S16_LE -r 16000 -c 1 | earmark run -
  earmark run --endpoint tcp://0.0.0.0:7707 --curve daemon.keys      see 'earmark keys --help'
  earmark run --config earmark.yaml                 all keys: configs/earmark.yaml

A microphone that goes is waited for: source.lost, source.restored and source.gap tell. Events are
read with 'earmark listen', or by any ZeroMQ SUB socket (edge/PROTOCOL.md). Ctrl-C or SIGTERM ends
it; SIGHUP has it read its settings and who is enrolled anew."""
STORE_PATIENCE = 1.0  # seconds; audio waits meanwhile, and a microphone's ring holds five
WAIT_SECONDS = 0.1  # within which a signal is noticed before anybody listens


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "run",
        help="hear microphones, a file or a pipe and publish who speaks",
        description="The daemon: hears its sources and publishes who speaks over ZeroMQ.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, in YAML")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--mic",
        action="append",
        metavar="NAME",
        help="microphone: part of its name, a pattern, or number; again for another",
    )
    source.add_argument("--wav", metavar="FILE", help="WAV, FLAC or Ogg, heard in real time")
    source.add_argument(
        "--satellite", metavar="ENDPOINT", help="wait there for another machine's microphone"
    )
    source.add_argument("stdin", nargs="?", choices=["-"], help="raw PCM on standard input")
    parser.add_argument("--fast", action="store_true", help="hear the file as fast as possible")
    raw = parser.add_argument_group("raw PCM on standard input")
    raw.add_argument("--rate", type=int, metavar="HZ", help="samples a second (16000)")
    raw.add_argument("--channels", type=int, metavar="N", help="interleaved channels (1)")
    raw.add_argument("--format", choices=["s16le", "f32le"], help="sample format (s16le)")
    parser.add_argument("--endpoint", help="where to publish (tcp://127.0.0.1:7707)")
    parser.add_argument("--curve", metavar="FILE", help="keys; only who is allowed there hears")
    parser.add_argument("--journal", metavar="FOLDER", help="where the last events are kept")
    parser.add_argument(
        "--stream", metavar="NAME", help="first part of the topics (mic); numbered if several"
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="small (the default), tiny, or a folder made by earmark-export",
    )
    parser.add_argument("--calibration", metavar="FILE", help="made by earmark calibrate")
    parser.add_argument("--store", metavar="FILE", help="enrolled speakers")
    parser.add_argument(
        "--state", metavar="FOLDER", help="where speaker1 and so on outlive a restart"
    )
    parser.add_argument("--key", metavar="FILE", help="of an encrypted store")
    parser.add_argument(
        "--wait-subscriber", action="store_true", help="hear nothing before somebody listens"
    )
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Serve until the source ends or a signal asks to stop; what goes wrong is told by the log."""
    log.set_up("auto", "info")
    try:
        _run(args)
    except EarmarkError as error:
        log.error("failed", str(error))
        return FAILED
    return 0


def _run(args: argparse.Namespace) -> None:
    """Serve.

    Raises:
        EarmarkError: a bad setting, source, model or store, or an endpoint in use.
    """

    def read_config() -> Config:
        return _override(load(args.config), args)

    config = read_config()
    log.set_up(config.log, config.log_level)
    stop = stop_on_signals()
    journal = Path(config.journal) if config.journal else default_journal(config.endpoint)
    curve = Path(config.curve) if config.curve else None
    state = alone_with(Path(config.state)) if config.state else nullcontext()
    with Publisher(config.endpoint, journal, curve) as publisher, state:
        model = Model.load(Path(config.model) if config.model else None)
        recalibrate(model, Path(config.calibration) if config.calibration else None)

        def open_store() -> Store:
            return Store(
                Path(config.store) if config.store else None,
                model,
                key=Path(config.key) if config.key else None,
                patience=STORE_PATIENCE,
            )

        with open_store() as store:
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
        )
        reload_on_hangup(controller.ask_reload, stop)
        names = ", ".join(f"'{name}'" for name in pipelines)
        log.info("publishing", f"publishing {names} on {publisher.endpoint}")
        while config.wait_for_subscriber and not publisher.wait_for_subscriber(WAIT_SECONDS):
            controller.carry_out()
            if stop.asked:
                return
        with metrics_of(streams, publisher, config.metrics):
            serve(
                streams,
                publisher,
                stop,
                health_seconds=lambda: controller.config.health_seconds,
                between=controller.carry_out,
                notifier=Notifier(),
            )
    log.info("stopped", "the daemon has ended, and everything is kept")


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


def _override(config: Config, args: argparse.Namespace) -> Config:
    """The settings with what the command line says in place of them."""
    if args.stream is not None and config.sources and args.mic is None:
        raise EarmarkError(
            "--stream names one stream, and the configuration has 'sources' with names",
            "Change the names there",
        )
    config = dataclasses.replace(config, **_given(args, "stream"))
    streams = config.streams
    if args.mic is not None:
        names = [config.stream] if len(args.mic) == 1 else _numbered(config.stream, len(args.mic))
        streams = {
            name: _instead(config.source, mic=mic)
            for name, mic in zip(names, args.mic, strict=True)
        }
    elif args.wav is not None or args.stdin is not None:
        streams = {config.stream: _instead(config.source, file=args.wav or args.stdin)}
    elif args.satellite is not None:
        streams = {config.stream: _instead(config.source, satellite=args.satellite)}
    given = _given(args, "rate", "channels", "format")
    streams = {
        name: dataclasses.replace(source, fast=source.fast or args.fast, **given)
        for name, source in streams.items()
    }
    return dataclasses.replace(
        config,
        source=SourceConfig(),
        sources=streams,
        wait_for_subscriber=config.wait_for_subscriber or args.wait_subscriber,
        **_given(
            args, "endpoint", "curve", "journal", "model", "calibration", "store", "state", "key"
        ),
    )


def _instead(source: SourceConfig, **given: str) -> SourceConfig:
    """A source of another kind, with the other settings of this one."""
    kinds: dict[str, Any] = dict.fromkeys(SOURCE_KINDS)
    return dataclasses.replace(source, **(kinds | given))


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(1, count + 1)]


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
