"""Requests that the server answers: its own page's, to what the page needs, within the bounds."""

import json
import secrets
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from balancer.app.upload_folder import UploadFolder

LOOPBACK = "127.0.0.1"
OWN_NAMES = (LOOPBACK, "localhost")
_App = Callable[[Any, Any, Any], Awaitable[None]]
_API = "/gradio_api"
_CLOSED = ("info", "openapi.json", "api", "call", "run", "mcp")
"""Routes of gradio for other programs; the page itself uses the queue alone."""
_LARGEST_QUESTION = 2**20
"""Bytes of a request to the queue; a real one names files and has a few hundred."""
_UPLOADS = (f"{_API}/upload", "/judge")
_COOKIE = "balancer-token"
_START_UP = f"{_API}/startup-events"
"""Route that gradio asks itself for when it starts; it tells and changes nothing."""


class Token:
    """Answer only to those who know the token: in the address once, then in a cookie.

    Args:
        app: Application that answers all other requests.
        token: The token.
    """

    def __init__(self, app: _App, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Compare the token in constant time."""
        if (
            scope["type"] == "lifespan"
            or scope.get("path") == _START_UP
            or any(self._is_right(one) for one in _cookies(scope))
        ):
            await self._app(scope, receive, send)
        elif any(self._is_right(one) for one in _query(scope).get("token", [])):
            cookie = f"{_COOKIE}={self._token.decode()}; HttpOnly; SameSite=Strict; Path=/"
            place = "/" + scope["path"].lstrip("/")  # `//name` would be another server
            headers = [(b"location", place.encode()), (b"set-cookie", cookie.encode())]
            await send({"type": "http.response.start", "status": 303, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await _refuse(send, 401, "Open the address that balancer serve printed")

    def _is_right(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token)


class OwnPages:
    """Refuse requests that pages of other places send; a form there could fill the disk.

    A page of another port of this machine is foreign too. The port is compared with the one that
    the request is addressed to, which differs from the server's own behind a forwarded port.

    Args:
        app: Application that answers all other requests.
        any_name: The server has names that it does not know, so that the name in a request counts
            as its own; only behind `Token`.
    """

    def __init__(self, app: _App, any_name: bool = False) -> None:
        self._app = app
        self._any_name = any_name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Check the origin that browsers send with every request but plain visits."""
        origins = _headers(scope, b"origin")
        hosts = [_split(f"http://{host}") for host in _headers(scope, b"host")]
        ports = {_port(host) for host in hosts if host is not None}
        for origin in origins:
            place = _split(origin)
            asked = {host.hostname for host in hosts if host is not None and self._any_name}
            names = {*OWN_NAMES, *asked}
            known = place is not None and place.hostname in names
            if not known or place is None or {_port(place)} != ports:
                await _refuse(send, 403, "Foreign page")
                return
        await self._app(scope, receive, send)


class OnlyPage:
    """Close what the page does not use: the description of the interface, and calls without it.

    Args:
        app: Application that answers all other requests.
        functions: Numbers of the page's functions.
    """

    def __init__(self, app: _App, functions: Container[int]) -> None:
        self._app = app
        self._functions = functions

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Check the path, and which function is called."""
        path = scope.get("path", "")
        words = path.removeprefix(_API).strip("/").split("/")
        if path.startswith(_API) and words[0] in _CLOSED:
            await _refuse(send, 404, "Not found")
            return
        if words == ["queue", "join"]:
            question = await _read(receive)
            if question is None:
                await _refuse(send, 413, "Too large")
                return
            if not self._knows(question):
                await _refuse(send, 404, "No such function")
                return
            receive = _again(question, receive)
        await self._app(scope, receive, send)

    def _knows(self, question: bytes) -> bool:
        try:
            number = int(json.loads(question)["fn_index"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return True  # gradio says what is wrong with the form of a request
        return number in self._functions


class BoundedUploads:
    """Refuse uploads that are larger than the room for all of them.

    Args:
        app: Application that answers all other requests.
        folder: Where uploads are written.
    """

    def __init__(self, app: _App, folder: UploadFolder) -> None:
        self._app = app
        self._folder = folder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Make room for an upload before it is read."""
        if scope.get("method") != "POST" or scope["path"].rstrip("/") not in _UPLOADS:
            await self._app(scope, receive, send)
            return
        sizes = _headers(scope, b"content-length")
        if len(sizes) != 1 or not sizes[0].isdecimal():
            await _refuse(send, 411, "The size of an upload has to be stated")
            return
        size = int(sizes[0])
        if not self._folder.reserve(size):
            limit = self._folder.limit // 10**6
            await _refuse(send, 413, f"The page takes up to {limit} MB of files; choose fewer")
            return
        from starlette.requests import ClientDisconnect  # a package of the extra `app`

        try:
            with suppress(ClientDisconnect):  # the page was closed; nobody waits for an answer
                await self._app(scope, receive, send)
        finally:
            self._folder.release(size)


def _headers(scope: Any, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == wanted]


def _query(scope: Any) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


def _cookies(scope: Any) -> list[str]:
    found = []
    for text in _headers(scope, b"cookie"):
        try:
            cookie = SimpleCookie(text).get(_COOKIE)
        except CookieError:
            continue
        found += [] if cookie is None else [cookie.value]
    return found


def _split(url: str) -> SplitResult | None:
    """Split an address; None: it is none."""
    try:
        place = urlsplit(url)
        _ = place.port
    except ValueError:
        return None
    return place


def _port(place: SplitResult) -> int:
    return place.port or (443 if place.scheme == "https" else 80)


async def _read(receive: Any) -> bytes | None:
    """Read the body of a request; None: it is too large."""
    body = b""
    while len(body) <= _LARGEST_QUESTION:
        message: dict[str, Any] = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body
    return None


def _again(body: bytes, receive: Any) -> Any:
    """Return a `receive` that gives the body, and then what the old one gives."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Any:
        return waiting.pop() if waiting else await receive()

    return give


async def _refuse(send: Any, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
