"""`earmark run`: the daemon."""

# ruff: noqa: PLC0415 (what takes time to import does so once signals are heard)

from __future__ import annotations

import argparse
import dataclasses
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import log
from edge.errors import FAILED, EarmarkError
from edge.signals import reload_on_hangup, stop_on_signals

if TYPE_CHECKING:
    from edge.config import Config, SourceConfig

EPILOG = """\
examples:
  earmark run                                       the default microphone
  earmark run --mic USB --mic '*Webcam*'            two at once, as streams mic1 and mic2
  earmark run --mic USB --endpoint ipc:///tmp/earmark.sock
  earmark run --wav meeting.flac --fast
  earmark run --satellite tcp://0.0.0.0:7711 --curve daemon.keys     see 'earmark satellite --help'
  arecord -q -t raw -f S16_LE -r 16000 -c 1 | earmark run -
  earmark run --endpoint tcp://0.0.0.0:7707 --curve daemon.keys      see 'earmark keys --help'
  earmark run --config earmark.yaml                 'earmark config show' prints all keys

A microphone that goes is waited for: source.lost, source.restored and source.gap tell. Events are
read with 'earmark listen', or by any ZeroMQ SUB socket (edge/PROTOCOL.md). Ctrl-C or SIGTERM ends
it; SIGHUP has it read its settings and who is enrolled anew."""


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
    parser.add_argument(
        "--fast", action="store_true", default=None, help="hear the file as fast as possible"
    )
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
    stop = stop_on_signals()
    reload = reload_on_hangup(stop)
    log.set_up("auto", "info")
    # The soft limit is for programs that use select(), and libzmq ends the process beyond it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    from edge.assembly import run_daemon
    from edge.config import load

    try:
        run_daemon(lambda: _override(load(args.config), args), stop, reload)
    except EarmarkError as error:
        log.error("failed", str(error))
        return FAILED
    return 0


def _override(config: Config, args: argparse.Namespace) -> Config:
    """The settings with what the command line says in place of them."""
    from edge.config import RAW, SPEED, SourceConfig

    config = dataclasses.replace(config, **_given(args, "stream"))
    streams = config.streams
    if args.mic is not None:
        names = [config.stream] if len(args.mic) == 1 else _numbered(config.stream, len(args.mic))
        streams = {
            name: _instead(config.source, SourceConfig(mic=mic))
            for name, mic in zip(names, args.mic, strict=True)
        }
    elif args.wav is not None or args.stdin is not None:
        file = args.stdin if args.wav is None else args.wav
        streams = {config.stream: _instead(config.source, SourceConfig(file=file))}
    elif args.satellite is not None:
        streams = {config.stream: _instead(config.source, SourceConfig(satellite=args.satellite))}
    elif args.stream is not None and config.sources:
        raise EarmarkError(
            "--stream names one stream, and the configuration has 'sources' with names",
            "Change the names there",
        )
    given = _given(args, *RAW, *SPEED)
    streams = {name: dataclasses.replace(source, **given) for name, source in streams.items()}
    for name, source in streams.items():
        source.check_further(name, given)
    return dataclasses.replace(
        config,
        source=SourceConfig(),
        sources=streams,
        wait_for_subscriber=config.wait_for_subscriber or args.wait_subscriber,
        **_given(
            args, "endpoint", "curve", "journal", "model", "calibration", "store", "state", "key"
        ),
    )


def _instead(source: SourceConfig, other: SourceConfig) -> SourceConfig:
    """The other source, with those settings of the first one that it looks at."""
    return dataclasses.replace(other, **{key: getattr(source, key) for key in other.further})


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(1, count + 1)]


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
