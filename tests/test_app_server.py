"""Requests that the page accepts, and requests that it never makes."""

import asyncio
from typing import Any

import pytest

from balancer.app.middleware import OwnPages
from balancer.app.server import _fetch_nothing
from balancer.errors import EnvironmentFault


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        (b"http://127.0.0.1:7860", 200),
        (b"http://localhost:7860", 200),
        (b"http://localhost:8888", 403),
        (b"http://localhost", 403),
        (b"http://hospital.example", 403),
        (b"http://hospital.example:7860", 403),
        (b"http://127.0.0.1.hospital.example:7860", 403),
        (b"null", 403),
        (b"http://[::1", 403),
        (b"http://localhost:port", 403),
        (b"http://localhost:99999999", 403),
    ],
)
@pytest.mark.parametrize("host", [b"localhost:7860", b"127.0.0.1:7860"])
def test_pages_of_other_places_are_refused(origin: bytes | None, status: int, host: bytes) -> None:
    said: list[dict[str, Any]] = []

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    headers = [(b"host", host)]
    headers += [] if origin is None else [(b"origin", origin)]
    asyncio.run(OwnPages(answer)({"type": "http", "headers": headers}, None, send))
    assert said[0]["status"] == status


def test_an_address_in_place_of_a_file_is_not_fetched() -> None:
    with pytest.raises(EnvironmentFault):
        asyncio.run(_fetch_nothing("http://hospital.example/film.png", "."))
