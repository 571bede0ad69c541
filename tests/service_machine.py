"""The unit under the real systemd, which runs as process 1 of namespaces of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from daemons import HANGING
from vmic import VirtualMicrophone

import edge

BOOT = Path(__file__).with_name("service_machine.sh")
UNIT = Path(edge.__file__).with_name("earmark.service")
NAMESPACES = ("--pid", "--mount", "--uts", "--ipc")

# What a machine has that is not this one: where Earmark is installed, and a short patience.
_HERE = """\
[Service]
ExecStart=
ExecStart=/opt/python/bin/{python} -m edge.cli run --config /etc/earmark.yaml \
--state /var/lib/earmark/voices
Environment=PYTHONPATH=/opt/earmark:/opt/packages
Environment=ALSA_CONFIG_PATH=/usr/share/alsa/alsa.conf:/etc/microphone.conf
WatchdogSec=3
"""


def require() -> None:
    """Skip the test where systemd cannot be run."""
    tools = all(map(shutil.which, ("unshare", "nsenter", "chroot", "systemctl")))
    if os.geteuid() or not (tools and Path("/lib/systemd/systemd").is_file()):
        pytest.skip("needs root, util-linux and systemd")
    with tempfile.TemporaryDirectory() as base:
        probe = f"mount --make-rprivate / && mount -t tmpfs x {base} && mkdir {base}/u {base}/w &&"
        probe += f" mount -t overlay -o lowerdir=/,upperdir={base}/u,workdir={base}/w x {base} &&"
        probe += f" mount -t cgroup2 x {base} && mkdir {base}/probe && rmdir {base}/probe"
        allowed = subprocess.run(
            ["unshare", "--fork", *NAMESPACES, "sh", "-c", probe], capture_output=True, check=False
        )
    if allowed.returncode:
        pytest.skip(f"needs the right to make namespaces: {allowed.stderr.decode().strip()}")


class ServiceMachine:
    """A machine on which nothing runs but systemd, its journal and `earmark.service`."""

    def __init__(self, config: str, microphone: VirtualMicrophone) -> None:
        """`config`: /etc/earmark.yaml; `microphone`: what its sound card is."""
        self._folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self._microphone = microphone
        etc = self._folder / "etc"
        drop_in = etc / "systemd/system/earmark.service.d/here.conf"
        drop_in.parent.mkdir(parents=True)
        python = Path(sys._base_executable).name  # type: ignore[attr-defined]
        drop_in.write_text(_HERE.format(python=python))
        shutil.copy(UNIT, etc / "systemd/system")
        (etc / "earmark.yaml").write_text(config)
        (etc / "microphone.conf").write_text(microphone.device("/opt/microphone"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        (self._folder / "base").mkdir()
        arguments = [self._folder / "base", self._folder.name]
        arguments += [sys.base_prefix, sysconfig.get_path("purelib"), UNIT.parent]
        arguments += [self._folder / "etc", self._microphone.shared()]
        self._process = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", *NAMESPACES, str(BOOT), *map(str, arguments)],
            stdout=subprocess.DEVNULL,
        )
        try:
            self._await_boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.kill()  # and with it process 1, and with that all others
            self._process.wait()
            self._remove_group()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def root(self) -> Path:
        """Its file system, as seen from here."""
        return Path(f"/proc/{self._init()}/root")

    def systemctl(self, *words: str) -> str:
        """What `systemctl` prints; an error where it fails."""
        return self._inside("systemctl", *words)

    def show(self) -> dict[str, str]:
        """The properties of the unit."""
        lines = self.systemctl("show", "earmark").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self) -> str:
        """What the daemon has logged, and what systemd has said of it."""
        return self._inside("journalctl", "--unit=earmark", "--output=cat", "--no-pager")

    def processes(self) -> list[str]:
        """The command lines of Earmark's processes."""
        lines = []
        for path in (self.root / "proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                lines.append(path.read_bytes().replace(b"\0", b" ").decode())
        return [line for line in lines if " edge." in line]

    def until(self, **wanted: str) -> dict[str, str]:
        """The unit's properties, once they are as wanted."""
        end = time.monotonic() + HANGING
        while True:
            shown = self.show()
            if all(shown.get(name) == value for name, value in wanted.items()):
                return shown
            assert time.monotonic() < end, f"not {wanted}: {self.journal()}"
            time.sleep(0.1)

    def kill(self, signal: str) -> None:
        """Send a signal to the daemon, and to no other of its processes."""
        self.systemctl("kill", f"--signal={signal}", "--kill-whom=main", "earmark")

    def _remove_group(self) -> None:
        """Remove its control groups, which outlive those who were in them."""
        base = self._folder / "base"
        end = time.monotonic() + HANGING
        name = self._folder.name
        script = f"mount -t cgroup2 x {base}; cd {base}; "
        script += f"find -depth -path './{name}*' -type d -exec rmdir {{}} + ; test ! -e {name}"
        while subprocess.run(["unshare", "--mount", "sh", "-c", script], check=False).returncode:
            assert time.monotonic() < end, "processes of the machine do not end"
            time.sleep(0.1)

    def _await_boot(self) -> None:
        end = time.monotonic() + HANGING
        while time.monotonic() < end:
            # Until systemd is there to be asked, or while its process is not even there.
            with suppress(OSError, IndexError, subprocess.CalledProcessError):
                self.systemctl("is-active", "systemd-journald.socket")
                return
            time.sleep(0.1)
        raise RuntimeError("systemd did not boot")

    def _init(self) -> int:
        """The number, here, of its process 1."""
        assert self._process is not None, "enter the context first"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])

    def _inside(self, *command: str) -> str:
        enter = ["nsenter", f"--target={self._init()}", *NAMESPACES, "--cgroup"]
        enter += ["--root", "--wd=/"]
        done = subprocess.run([*enter, *command], check=True, capture_output=True, text=True)
        return done.stdout
