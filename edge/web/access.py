"""Who may see the page and command through it: tokens, and what browsers tell of themselves. Pure.

On loopback a browser is also in the hands of every other site that it shows. Those can make it ask
us, under our address or (DNS rebinding) under a name of theirs that leads to it. So the name must
be one of this machine's own, and what another site caused is refused.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from tornado.httputil import parse_cookie

from edge.endpoints import is_loopback

LOGIN = "/"  # a link from elsewhere may lead here


class Access:
    """The rules of one server.

    Args:
        token: without it nothing is asked of who looks, and nobody commands.
        scheme: of the page, `http` or `https`.
        port: cookies are shared by the ports of a machine, so it is in the name of ours.
        loopback: whether only this machine can connect.
    """

    def __init__(self, token: str | None, scheme: str, port: int, loopback: bool) -> None:
        self.commands = token is not None
        self.cookie = f"earmark-{port}"
        self._token = token
        self._scheme = scheme
        self._loopback = loopback

    def flaw(self, method: str, path: str, headers: Mapping[str, str]) -> str | None:
        """Why a request is refused whoever makes it; None if it is not."""
        host = headers.get("Host", "")
        if self._loopback and not _is_own(host):
            return "this page is only at an address of this machine, such as localhost"
        origin = headers.get("Origin")
        if origin != f"{self._scheme}://{host}" and (origin is not None or method == "POST"):
            return "another site asked for this"
        if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none") and path != LOGIN:
            return "another site asked for this"
        return None

    def is_token(self, word: str) -> bool:
        """Whether it is the token; takes as long for every word."""
        return self._token is not None and hmac.compare_digest(_seal(word), _seal(self._token))

    def pass_for(self, token: str) -> str:
        """What a browser shows from then on, as the cookie; the token does not follow from it."""
        return _seal(token).hex()

    def may_enter(self, headers: Mapping[str, str]) -> bool:
        """Whether the browser showed the token before, where there is one."""
        if self._token is None:
            return True
        # Not the standard library's, which reads no further than another program's odd cookie.
        value = parse_cookie(headers.get("Cookie", "")).get(self.cookie, "")
        return hmac.compare_digest(value.encode(), self.pass_for(self._token).encode())


def _is_own(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and (name == "localhost" or is_loopback(name))


def _seal(token: str) -> bytes:
    return hmac.digest(token.encode("utf-8", "replace"), b"earmark web", hashlib.sha256)
