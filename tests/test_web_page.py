"""The page in a real browser, of a real daemon that hears the bundled conversation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import soundfile
from chromium import browser
from shell import earmark
from voices import CONVERSATION, ENROLMENT
from web_server import token, web

PICTURES = Path(__file__).parents[1] / "build" / "web"
LANES = "document.querySelectorAll('.lane[data-speaker]').length"
ENROL = "document.querySelector('.lane .enrol:not([hidden])')"
PEOPLE = "[...document.querySelectorAll('#enrolled-list .speaker')].map(e => e.textContent).join()"


def test_four_voices_are_seen_and_one_is_enrolled_renamed_and_forgotten(tmp_path: Path) -> None:
    endpoint, store = f"ipc://{tmp_path / 'events'}", str(tmp_path / "speakers.db")
    assert earmark("enroll", "ada", str(ENROLMENT), "--store", store).returncode == 0
    samples, rate = soundfile.read(CONVERSATION, dtype="int16", frames=66 * 16_000)
    words = ["run", "-", "--rate", str(rate), "--endpoint", endpoint, "--store", store]
    secret = tmp_path / "token"
    daemon = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *words, "--wait-subscriber"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        with (
            web(endpoint, "--token", str(secret)) as server,
            browser(tmp_path / "browser") as page,
        ):
            assert daemon.stdin is not None
            daemon.stdin.write(samples.tobytes())
            daemon.stdin.flush()
            page.open(server.url)
            page.value(
                f"document.getElementById('token').value = '{token(secret)}',"
                "document.querySelector('form').submit()"
            )
            page.wait_for(f"{LANES} === 4 && {PEOPLE} === 'ada'")
            page.picture(PICTURES / "light.png")
            print(f"the page: {PICTURES / 'light.png'}")
            page.wait_for(f"{ENROL} !== null")  # once it is drawn after who is enrolled is known
            page.value(f"{ENROL}.click()")
            page.value(
                "document.getElementById('dialog-name').value = '<b>bob',"
                "document.getElementById('dialog-ok').click()"
            )
            page.wait_for(f"{PEOPLE} === '<b>bob,ada'")
            page.wait_for("document.querySelector('.lane[data-speaker=\"<b>bob\"]') !== null")
            page.value("document.querySelector('#enrolled-list .rename').click()")
            page.value(
                "document.getElementById('dialog-name').value = 'Robert',"
                "document.getElementById('dialog-ok').click()"
            )
            page.wait_for(f"{PEOPLE} === 'Robert,ada'")
            page.value("document.querySelector('#enrolled-list .forget').click()")
            assert page.value(PEOPLE) == "Robert,ada"  # it asks first
            page.value("document.getElementById('dialog-ok').click()")
            page.wait_for(f"{PEOPLE} === 'ada'")
            page.open(server.url, width=390, height=844, dark=True)
            page.wait_for(f"{LANES} >= 3")
            page.picture(PICTURES / "dark-phone.png")
            assert page.errors == []
    finally:
        daemon.kill()
        daemon.communicate()
