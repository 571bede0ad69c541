"""The runtime: audio in, "who spoke when, is it who they claim to be, how sure are we" out.

Reads left to right, and nothing flows back::

    source -> ring -> resample -> fbank -> encoder(state) -> statistics -> gate -> tracker -> events

Everything up to the events is pure (`Pipeline.push(block) -> list[Event]`): no thread, clock or
socket, so a ten-hour meeting can be replayed in seconds and gives the same events as live.
Threads, clocks, devices and sockets live in the daemon alone. Never imports torch.
"""

import os

# onnxruntime's wheels report usage to their maker unless told otherwise before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
