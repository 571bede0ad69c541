"""The identity of the front end: a model trained behind another one must not be run."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a subscriber has no use for it
    from edge._native import FbankOptions

# Raised when the native fbank changes what it computes for the same options.
FRONT_END_VERSION = 1
SAMPLE_RATE = 16000


def front_end_hash(options: FbankOptions) -> str:
    """Hash of what the front end computes: its version and every option."""
    spec: dict[str, Any] = {"version": FRONT_END_VERSION, "fbank": options.as_dict()}
    return sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
