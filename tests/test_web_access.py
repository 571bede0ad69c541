"""The page shows nothing and does nothing for other sites, other machines, or without its token."""

from __future__ import annotations

import http.client
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from shell import earmark
from web_server import HANGING, Web, token, web

from edge import log
from edge.web.access import Access
from edge.web.relay import parse_bookmark

PRIVATE = ["/events", "/command"]


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Without a token, of a daemon that is not there."""
    with web(f"ipc://{tmp_path_factory.mktemp('looking') / 'nobody'}") as server:
        yield server


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secret") / "token"


@pytest.fixture(scope="module")
def closed(secret: Path) -> Iterator[Web]:
    """With a token."""
    with web(f"ipc://{secret.with_name('nobody')}", "--token", str(secret)) as server:
        yield server


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "["])
def test_a_name_that_was_made_to_lead_here_is_refused(looking: Web, host: str) -> None:
    """DNS rebinding."""
    for path in ("/", "/events", "/assets/main.js", "/nothing"):
        response, text = looking.ask("GET", path, Host=host)
        assert (response.status, "Earmark" in text) == (403, False)


def test_this_machine_s_own_names_are_served(looking: Web) -> None:
    for host in ("localhost", f"localhost:{looking.port}", "127.0.0.1:9999", "[::1]:7717"):
        assert looking.ask("GET", "/", Host=host)[0].status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_what_another_site_caused_is_refused(looking: Web, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/events"), ("POST", "/command"), ("POST", "/")):
        assert looking.ask(method, path, "" if method == "POST" else None, **headers)[0].status == (
            403
        )


def test_a_form_without_an_origin_is_refused(closed: Web, secret: Path) -> None:
    assert closed.ask("POST", "/", f"token={token(secret)}")[0].status == 403


def test_without_the_token_nothing_is_told(closed: Web, secret: Path) -> None:
    good = closed.enter(token(secret))
    assert good
    name = good.partition("=")[0]
    forged = ["", "x", f"{name}=", f"{name}={token(secret)}", good[:-1], good.upper(), f"x{good}"]
    for cookie in forged:
        assert closed.ask("GET", "/events", Cookie=cookie)[0].status == 401
        assert closed.command(cookie, type="enrolled")[0] == 401
        assert 'id="token"' in closed.ask("GET", "/", Cookie=cookie)[1]
    assert 'id="streams"' in closed.ask("GET", "/", Cookie=good)[1]
    for wrong in ("", "x", token(secret)[:-1], token(secret) + "x", "%00"):
        assert closed.enter(wrong) == ""


@pytest.mark.parametrize("odd", ['prefs={"theme":"dark"}', 'a="b', "flag", "a@b=c", "HttpOnly=1"])
def test_another_programs_cookie_is_not_in_the_way(closed: Web, secret: Path, odd: str) -> None:
    """Cookies are those of all ports of a machine."""
    good = closed.enter(token(secret))
    for cookie in (f"{odd}; {good}", f"{good}; {odd}"):
        assert 'id="streams"' in closed.ask("GET", "/", Cookie=cookie)[1]


def test_the_cookie_stays_with_this_page_and_is_not_the_token(closed: Web, secret: Path) -> None:
    response = closed.log_in(token(secret))
    cookie = response.getheader("Set-Cookie") or ""
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert token(secret) not in cookie


def test_for_looking_only_nothing_is_commanded(looking: Web) -> None:
    """Every user of the machine can connect to a loopback address."""
    status, answer = looking.command(type="forget", name="ada")
    assert status == 409
    assert "--token" in answer["remedy"]


@pytest.mark.parametrize("body", ["", "{", "[]", '{"v":1,"id":0,"type":"stop"}', "x" * 4097])
def test_other_requests_than_the_page_s_are_refused(closed: Web, secret: Path, body: str) -> None:
    cookie = closed.enter(token(secret))
    response, _ = closed.ask("POST", "/command", body, Origin=closed.url.rstrip("/"), Cookie=cookie)
    assert response.status in (400, 413)
    assert closed.ask("GET", "/")[0].status == 200


@pytest.mark.parametrize(
    "path",
    ["/assets/../server.py", "/assets/%2e%2e/server.py", "/assets/", "/assets/x.js", "//etc"],
)
def test_no_other_file_is_served(looking: Web, path: str) -> None:
    assert looking.ask("GET", path)[0].status == 404


def test_the_page_lets_a_browser_load_nothing_from_elsewhere(looking: Web) -> None:
    response, text = looking.ask("GET", "/")
    policy = response.getheader("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in text
    assert "https:" not in text


@pytest.mark.parametrize("options", [[], ["--token", "TOKEN"], ["--certificate", "PEM"]])
def test_off_loopback_takes_a_token_and_encryption(tmp_path: Path, options: list[str]) -> None:
    words = [str(tmp_path / word) if word.isupper() else word for word in options]
    result = earmark("web", "--bind", "0.0.0.0:0", *words)
    assert result.returncode == 1
    assert "--token and --certificate" in result.stderr
    assert not list(tmp_path.iterdir())


def certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kitchen")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)


def test_with_both_it_serves_other_machines_over_https(tmp_path: Path) -> None:
    certificate(tmp_path / "pem")
    secret = tmp_path / "token"
    options = ["--token", str(secret), "--certificate", str(tmp_path / "pem")]
    with web(f"ipc://{tmp_path / 'nobody'}", *options, bind="0.0.0.0:0") as server:
        trust = ssl.create_default_context(cafile=str(tmp_path / "pem"))
        trust.check_hostname = False
        line = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=HANGING, context=trust)
        headers = {
            "Host": "kitchen:7717",
            "Origin": "https://kitchen:7717",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        line.request("POST", "/", f"token={token(secret)}", headers)
        response = line.getresponse()
        response.read()
        assert "Secure" in (response.getheader("Set-Cookie") or "")
        line.close()
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_strangers_who_do_not_speak_tls_do_not_fill_the_log(tmp_path: Path) -> None:
    certificate(tmp_path / "pem")
    with web(f"ipc://{tmp_path / 'nobody'}", "--certificate", str(tmp_path / "pem")) as server:
        for _ in range(3 * log.LINES):
            with socket.create_connection(("127.0.0.1", server.port), HANGING) as line:
                line.sendall(b"GET / HTTP/1.1\r\n\r\n")
                with suppress(ConnectionResetError):
                    assert line.recv(1) == b""
        server.process.terminate()
        assert server.process.wait(HANGING) == 0
        assert server.process.stderr is not None
        said = server.process.stderr.read().splitlines()
    assert len(said) == log.LINES
    assert "left out" in said[-1]


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("x" * 40, 0o644, "others may read the token in"),
        ("short", 0o600, "does not hold a token"),
        ("x" * 300, 0o600, "does not hold a token"),
        ("\xe4" * 40, 0o600, "does not hold a token"),
    ],
)
def test_a_bad_token_file_is_told(tmp_path: Path, content: str, mode: int, message: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    result = earmark("web", "--token", str(path), "--bind", "127.0.0.1:0")
    assert result.returncode == 1
    assert message in result.stderr
    assert content not in result.stderr


def test_the_token_is_in_no_output(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    with web(f"ipc://{tmp_path / 'nobody'}", "--token", str(secret)) as server:
        server.enter(token(secret))
        server.enter("wrong")
        server.process.terminate()
        _, rest = server.process.communicate(timeout=HANGING)
        assert server.process.returncode == 0
        assert token(secret) not in rest
        assert "Traceback" not in rest


@pytest.mark.parametrize("bind", ["7717", "127.0.0.1:99999", "http://x:1", "127.0.0.1:", "::1:80"])
def test_an_address_that_is_none_is_told(bind: str) -> None:
    result = earmark("web", "--bind", bind)
    assert (result.returncode, "ADDRESS:PORT" in result.stderr) == (1, True)


def test_an_address_in_use_is_told(looking: Web) -> None:
    result = earmark("web", "--bind", looking.host)
    assert (result.returncode, "in use" in result.stderr) == (1, True)


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_any_headers_are_judged(host: str, origin: str, cookie: str) -> None:
    access = Access("t" * 30, "http", 7717, loopback=True)
    headers = {"Host": host, "Origin": origin, "Cookie": cookie}
    assert access.flaw("POST", "/command", headers) is not None or origin == f"http://{host}"
    assert not access.may_enter(headers)
    assert not access.is_token(cookie)


@given(st.text(max_size=90) | st.from_regex(r"\w{1,66}:\d{1,21}", fullmatch=True))
def test_any_bookmark_is_one_or_none(text: str) -> None:
    bookmark = parse_bookmark(text)
    assert bookmark is None or f"{bookmark.journal}:{bookmark.next}" == text


def test_only_this_command_loads_the_server() -> None:
    program = "import sys\nfrom edge.cli import parser\nparser(None)\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGING, check=True
    )
    assert "edge.commands.web" in result.stdout.split()
    assert "tornado" not in result.stdout.split()
