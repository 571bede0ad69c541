"""`earmark run`: the daemon."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from edge.config import Config, SourceConfig, load
from edge.control import Controller
from edge.daemon import Stop, serve
from edge.encoder import Model
from edge.journal import default_journal
from edge.pipeline import Pipeline
from edge.publisher import Publisher
from edge.sources import Source
from edge.sources.file import FileSource
from edge.sources.microphone import MicrophoneSource
from edge.sources.pipe import PipeSource
from edge.store import Store

EPILOG = """\
examples:
  earmark run                                       the default microphone
  earmark run --mic USB --endpoint ipc:///tmp/earmark.sock
  earmark run --wav meeting.flac --fast
  arecord -q -f S16_LE -r 16000 -c 1 | earmark run -
  earmark run --endpoint tcp://0.0.0.0:7707 --curve daemon.keys      see 'earmark keys --help'
  earmark run --config earmark.yaml                 all keys: configs/earmark.yaml

Events are read with 'earmark listen', or by any ZeroMQ SUB socket (edge/PROTOCOL.md).
Ctrl-C or SIGTERM ends it."""
WAIT_SECONDS = 0.1  # within which a signal is noticed before anybody listens


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "run",
        help="hear a microphone, file or pipe and publish who speaks",
        description="The daemon: hears one source and publishes who speaks over ZeroMQ.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, in YAML")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--mic", metavar="NAME", help="microphone: part of its name, or number")
    source.add_argument("--wav", metavar="FILE", help="WAV, FLAC or Ogg, heard in real time")
    source.add_argument("stdin", nargs="?", choices=["-"], help="raw PCM on standard input")
    parser.add_argument("--fast", action="store_true", help="hear the file as fast as possible")
    raw = parser.add_argument_group("raw PCM on standard input")
    raw.add_argument("--rate", type=int, metavar="HZ", help="samples a second (16000)")
    raw.add_argument("--channels", type=int, metavar="N", help="interleaved channels (1)")
    raw.add_argument("--format", choices=["s16le", "f32le"], help="sample format (s16le)")
    parser.add_argument("--endpoint", help="where to publish (tcp://127.0.0.1:7707)")
    parser.add_argument("--curve", metavar="FILE", help="keys; only who is allowed there hears")
    parser.add_argument("--journal", metavar="FOLDER", help="where the last events are kept")
    parser.add_argument("--stream", metavar="NAME", help="first part of the topics (mic)")
    parser.add_argument("--model", metavar="FOLDER", help="encoder made by earmark-export")
    parser.add_argument("--store", metavar="FILE", help="enrolled speakers")
    parser.add_argument("--key", metavar="FILE", help="of an encrypted store")
    parser.add_argument(
        "--wait-subscriber", action="store_true", help="hear nothing before somebody listens"
    )
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Serve until the source ends or a signal asks to stop.

    Raises:
        EarmarkError: a bad setting, source, model or store, or an endpoint in use.
    """
    config = _override(load(args.config), args)
    stop = stop_on_signals()
    journal = Path(config.journal) if config.journal else default_journal(config.endpoint)
    curve = Path(config.curve) if config.curve else None
    with Publisher(config.endpoint, journal, curve) as publisher:
        model = Model.load(Path(config.model) if config.model else None)

        def open_store() -> Store:
            return Store(
                Path(config.store) if config.store else None,
                model,
                key=Path(config.key) if config.key else None,
            )

        with open_store() as store:
            profiles = store.profiles()
        pipeline = Pipeline(model, profiles, config.pipeline)
        controller = Controller(model, open_store, {config.stream: pipeline}, publisher, stop.ask)
        print(f"earmark: publishing '{config.stream}' on {publisher.endpoint}", file=sys.stderr)
        while config.wait_for_subscriber and not publisher.wait_for_subscriber(WAIT_SECONDS):
            if stop.asked:
                return 0
        serve(
            lambda: open_source(config.source),
            pipeline,
            publisher,
            config.stream,
            stop,
            health_seconds=config.health_seconds,
            between=controller.carry_out,
        )
    return 0


def open_source(config: SourceConfig) -> Source:
    """The source that the settings name.

    Raises:
        EarmarkError: it cannot be opened.
    """
    if config.file == "-":
        return PipeSource(sys.stdin.buffer, config.rate, config.channels, config.format)
    if config.file is not None:
        return FileSource(Path(config.file), realtime=not config.fast)
    return MicrophoneSource(config.mic)


def stop_on_signals() -> Stop:
    """What SIGINT and SIGTERM ask for from now on; a second SIGINT interrupts at once."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    return stop


def _override(config: Config, args: argparse.Namespace) -> Config:
    """The settings with what the command line says in place of them."""
    source = config.source
    if args.mic is not None:
        source = dataclasses.replace(source, mic=args.mic, file=None)
    elif args.wav is not None or args.stdin is not None:
        source = dataclasses.replace(source, mic=None, file=args.wav or args.stdin)
    given = _given(args, "rate", "channels", "format")
    source = dataclasses.replace(source, fast=source.fast or args.fast, **given)
    return dataclasses.replace(
        config,
        source=source,
        wait_for_subscriber=config.wait_for_subscriber or args.wait_subscriber,
        **_given(args, "endpoint", "curve", "journal", "stream", "model", "store", "key"),
    )


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
