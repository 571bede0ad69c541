"""Virtual microphones without a sound card: each is a private PulseAudio server with a null sink.

Play into a microphone, and PortAudio (through ALSA's pulse plugin) records it. At 48 kHz, 16 bit,
nothing on the way changes a sample. Also of use by hand::

    python tests/vmic.py conversation.wav    # plays until the file ends; prints the environment
"""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

RATE = 48_000
_PACKAGES = "libportaudio2 libasound2-plugins pulseaudio pulseaudio-utils"

# norewinds: a rewinding null sink silently loses up to a second.
_SERVER = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/socket
load-module module-null-sink sink_name=mic rate={rate} channels=1 channel_map=mono norewinds=1
set-default-sink mic
set-default-source mic.monitor
"""
_DEVICE = """\
pcm.{name} {{
  type pulse server "unix:{folder}/socket" device "mic.monitor"
  hint {{ show on description "virtual microphone" }}
}}
"""


def require() -> None:
    """Skip the test on a machine without the packages; in CI, fail."""
    plugin = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    tools = all(shutil.which(tool) for tool in ("pulseaudio", "pactl", "paplay"))
    if not (plugin and tools and ctypes.util.find_library("portaudio")):
        say = pytest.fail if "CI" in os.environ else pytest.skip
        say(f"needs virtual microphones: apt-get install {_PACKAGES}")


def alsa_environment(*configs: Path) -> dict[str, str]:
    """The environment of a process that finds the microphones of these configurations."""
    return {"ALSA_CONFIG_PATH": ":".join(["/usr/share/alsa/alsa.conf", *map(str, configs)])}


class VirtualMicrophone:
    """One microphone `name`, there from entering the context to leaving it.

    PortAudio lists the devices once per process, so record in a process of its own: `record`.
    """

    def __init__(self, name: str = "vmic") -> None:
        self.name = name
        # Not pytest's folder: a socket's path may have 107 characters at most.
        self._folder = Path(tempfile.mkdtemp(prefix="vmic-"))
        self.config = self._folder / "asound.conf"
        self.config.write_text(self.device(str(self._folder)))
        self.environment = alsa_environment(self.config)
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._server is not None:
            self._server.kill()  # also ends a stopped process
            self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def device(self, folder: str) -> str:
        """ALSA's configuration of it where its folder is seen as `folder`."""
        return _DEVICE.format(name=self.name, folder=folder)

    def shared(self) -> Path:
        """Its folder, from now on open to all users."""
        self._folder.chmod(0o755)
        (self._folder / "socket").chmod(0o777)
        return self._folder

    @contextlib.contextmanager
    def record(self, program: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a Python program that finds this microphone."""
        with subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as recorder:
            try:
                yield recorder
            finally:
                recorder.kill()

    def play(self, path: Path) -> None:
        """Play a file of 48 kHz, 16 bit, one channel into the microphone, to its end."""
        subprocess.run(
            ["paplay", self._address("--server="), "--latency-msec=200", str(path)],
            check=True,
            timeout=300,
        )

    def freeze(self) -> None:
        """Stop the server: the device stays open and delivers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._process.send_signal(signal.SIGCONT)

    def vanish(self) -> None:
        """Kill the server: the device is gone, as if unplugged."""
        self._process.kill()
        self._process.wait()

    def come_back(self) -> None:
        """Begin a new server after `vanish`: the device is there again."""
        self._start()

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._server is not None, "enter the context first"
        return self._server

    def _address(self, prefix: str) -> str:
        return f"{prefix}unix:{self._folder}/socket"

    def _start(self) -> None:
        script = self._folder / "default.pa"
        script.write_text(_SERVER.format(folder=self._folder, rate=RATE))
        private = {
            "HOME": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "PULSE_RUNTIME_PATH": str(self._folder),
            "PULSE_STATE_PATH": str(self._folder),
            "DBUS_SESSION_BUS_ADDRESS": "none:",
        }
        command = ["pulseaudio", "-n", "-F", str(script), "--daemonize=no", "--exit-idle-time=-1"]
        command += ["--disable-shm=yes", "--use-pid-file=no", "--log-target=stderr"]
        # setpriv: the server dies with this process even if that is killed.
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=os.environ | private,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(300):
            probe = ["pactl", self._address("--server="), "info"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return
            if self._server.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"no virtual microphone: {(self._folder / 'log').read_text()}")


if __name__ == "__main__":
    with VirtualMicrophone() as microphone:
        for key, value in microphone.environment.items():
            print(f"export {key}={value}", flush=True)
        microphone.play(Path(sys.argv[1]))
