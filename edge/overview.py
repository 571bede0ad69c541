"""How the streams of a daemon are, from its events. Pure: what is drawn is made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.events import Envelope, Health, SourceLost, SourceOpened, SourceRestored
from edge.front_end import SAMPLE_RATE
from edge.printable import printable
from edge.timeline import Timeline


@dataclass
class StreamState:
    """A stream as its latest events tell it; `cpu` is the daemon's, a share of one core."""

    timeline: Timeline = field(default_factory=Timeline)
    source: str = "waiting"
    health: Health | None = None
    cpu: float | None = None
    _beat_at: float = 0.0

    @property
    def speaker(self) -> str:
        """Who speaks now; empty where nobody does."""
        current = self.timeline.current
        return printable(current.speaker) if current is not None else ""

    def apply(self, envelope: Envelope) -> None:
        """Take in an event of this stream."""
        self.timeline.apply(envelope)
        match envelope.event:
            case SourceOpened() | SourceRestored():
                self.source = "hearing"
            case SourceLost():
                self.source = "lost"
            case Health() as health:
                elapsed = envelope.utc - self._beat_at
                if self.health is not None and elapsed > 0:
                    self.cpu = max(0.0, health.cpu - self.health.cpu) / elapsed
                self.health, self._beat_at = health, envelope.utc
                if health.final:
                    self.source = "ended"


@dataclass
class Overview:
    """Every stream of a daemon, by name; begins anew with each run of it."""

    session: str = ""
    streams: dict[str, StreamState] = field(default_factory=dict)

    def apply(self, envelope: Envelope) -> None:
        """Take in an event."""
        if envelope.session != self.session:
            self.session = envelope.session
            self.streams.clear()
        self.streams.setdefault(envelope.stream, StreamState()).apply(envelope)

    @property
    def ended(self) -> bool:
        """Whether there were streams, and all are over."""
        return bool(self.streams) and all(s.timeline.ended for s in self.streams.values())


def figures(health: Health) -> dict[str, str]:
    """The figures of a heartbeat, for people, by what they are called."""
    lags = (health.lag_median, health.lag_99, health.lag)
    return {
        "level": "–" if health.level is None else f"{health.level:.1f} dBFS",
        "lag 50/99/100 %": "/".join(f"{1000 * lag:.0f}" for lag in lags) + " ms",
        "queue": str(health.queued),
        "lost": f"{health.overflowed / SAMPLE_RATE:.1f} s",
        "gaps": f"{health.missing / SAMPLE_RATE:.1f} s",
        "drift": "–" if health.drift is None else f"{health.drift:+.0f} ppm",
        "shed": str(health.shedding),
        "voices": str(health.speakers),
    }


def heartbeat_line(name: str, state: StreamState) -> str:
    """A stream with a heartbeat, in one line."""
    assert state.health is not None, "a heartbeat was applied"
    parts = [f"{key} {value}" for key, value in figures(state.health).items()]
    who = state.speaker or "nobody"
    parts += [usage(state)]
    at = f"{state.health.sample / SAMPLE_RATE:.1f} s"
    return f"{at:>10}  {printable(name)}: {state.source}, {who}, {', '.join(parts)}"


def usage(state: StreamState) -> str:
    """What the daemon takes of the machine."""
    cpu = "–" if state.cpu is None else f"{state.cpu:.1%}"
    rss = 0 if state.health is None else state.health.rss
    return f"cpu {cpu}, memory {rss / 1e6:.0f} MB"
