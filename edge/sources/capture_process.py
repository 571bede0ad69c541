"""The process that captures a microphone, seen from the one that listens to it."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

import msgspec

from edge.errors import EarmarkError
from edge.sources.capture import CaptureRequest, Message
from edge.untrusted import parse

_decoder = msgspec.msgpack.Decoder(Message)


class CaptureProcess:
    """Runs `edge.sources.capture` until it is killed; it also ends when this process does.

    Args:
        request: what to capture.

    Raises:
        EarmarkError: the system starts no more processes, or opens no more files.
    """

    def __init__(self, request: CaptureRequest) -> None:
        try:
            self._pipe, theirs = multiprocessing.Pipe(duplex=False)
        except OSError as error:
            raise _not_started(error) from error
        words = [msgspec.json.encode(request).decode(), str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edge.sources.capture", *words],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # ALSA complains there of every absent device
                process_group=0,  # Ctrl-C is for this process, which ends that one
            )
        except OSError as error:
            self._pipe.close()
            raise _not_started(error) from error
        finally:
            theirs.close()

    def receive(self, timeout: float) -> Message | None:
        """Its next message, or None when none came within `timeout` seconds.

        Raises:
            EarmarkError: the process ended without saying why, or sent what is no message.
        """
        try:
            if not self._pipe.poll(timeout):
                return None
            message: Message = parse(_decoder.decode, self._pipe.recv_bytes())
        except msgspec.DecodeError as error:
            raise EarmarkError(
                f"the capture process sent what is no message: {error}", "Report this"
            ) from error
        except (EOFError, OSError) as error:  # the latter where it ended within a message
            status = self._process.wait()
            raise EarmarkError(
                f"the process that captures the microphone ended, exit status {status}",
                "'earmark doctor' shows what does not work here",
            ) from error
        return message

    def kill(self) -> None:
        """End it, whatever it is doing, and free what it held; any number of times."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()


def _not_started(error: OSError) -> EarmarkError:
    return EarmarkError(
        f"cannot start a process to capture the microphone: {error}",
        "Free memory, or raise the limits of processes and open files",
    )
