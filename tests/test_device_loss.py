"""Risk: the microphone goes, and nobody is told; or telling it hangs the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import vmic

RECORD = """
import sys
from edge.errors import EarmarkError
from edge.sources.microphone import MicrophoneSource
try:
    with MicrophoneSource("vmic") as source:
        for block in source.blocks():
            print("block", flush=True)
except EarmarkError as error:
    print("what:", error.what)
    print("remedy:", error.remedy)
    sys.exit(3)
"""


@pytest.fixture
def microphone() -> Iterator[vmic.VirtualMicrophone]:
    vmic.require()
    with vmic.VirtualMicrophone() as microphone:
        yield microphone


@pytest.mark.parametrize(
    ("event", "reason"), [("vanish", "the device is gone"), ("freeze", "no sample came for 0.6 s")]
)
def test_loss_is_one_clear_error(
    microphone: vmic.VirtualMicrophone, event: str, reason: str
) -> None:
    """Also that the process ends: closing a frozen device waits for it forever."""
    with microphone.record(RECORD) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == b"block\n"
        getattr(microphone, event)()
        output, log = recorder.communicate(timeout=120)
    said = [line for line in output.decode().splitlines() if line != "block"]
    assert recorder.returncode == 3, log.decode()
    assert len(said) == 2
    assert said[0].startswith("what: microphone 'vmic' stopped delivering after ")
    assert said[0].endswith(reason)
    assert "earmark devices" in said[1]
    assert "Traceback" not in log.decode()


def test_device_that_is_gone_before_recording(microphone: vmic.VirtualMicrophone) -> None:
    microphone.vanish()
    with microphone.record(RECORD) as recorder:
        output, log = recorder.communicate(timeout=120)
    assert recorder.returncode == 3, log.decode()
    assert "vmic" in output.decode()
