"""The server of the page, reachable from this machine only."""

import importlib.util
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from balancer.errors import EnvironmentFault

if TYPE_CHECKING:
    from balancer.app.desk import Desk

LOOPBACK = "127.0.0.1"
_OWN_NAMES = (LOOPBACK, "localhost")
_App = Callable[[Any, Any, Any], Awaitable[None]]
_LARGEST_UPLOAD = "1gb"
_SILENT = {
    # Read when gradio is imported; without them it contacts the servers of its makers.
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    # Gradio requests its own page once; that must not go through a proxy.
    "NO_PROXY": f"{LOOPBACK},localhost",
    "no_proxy": f"{LOOPBACK},localhost",
}


@dataclass(slots=True)
class Server:
    """A page that is being served.

    Attributes:
        url: Address of the page.
    """

    url: str
    _page: Any
    _uploads: Path

    def wait(self) -> None:
        """Serve until Ctrl-C, then stop; uploads are removed."""
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving and remove what was uploaded."""
        self._page.close(verbose=False)
        shutil.rmtree(self._uploads, ignore_errors=True)


class OwnPages:
    """Refuse requests that pages of other sites send; a form there could fill the disk.

    Args:
        app: Application that answers all other requests.
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Check the origin that browsers send with every request but plain visits."""
        origins = [value for name, value in scope.get("headers", ()) if name == b"origin"]
        if all(urlsplit(one.decode("latin-1")).hostname in _OWN_NAMES for one in origins):
            await self._app(scope, receive, send)
            return
        start = {"type": "http.response.start", "status": 403}
        await send(start | {"headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Foreign page"})


async def _fetch_nothing(url: str, cache_dir: str) -> str:
    raise EnvironmentFault("This page accepts files only and fetches no address.")


def require_gradio() -> None:
    """Refuse to start without the optional package.

    Raises:
        EnvironmentFault: Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise EnvironmentFault(
            "balancer serve needs gradio, which is not installed; run `pip install "
            "'balancer[app]'`."
        )


def choose_port(wanted: int) -> int:
    """Return the port to listen on; 0 for any free port.

    Raises:
        EnvironmentFault: Another program uses the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError as error:
            raise EnvironmentFault(
                f"--port {wanted} should be free, but: {error.strerror}; choose another, or 0 for "
                "any."
            ) from None
        port: int = probe.getsockname()[1]
    return port


def start(desk: "Desk", *, port: int, browser: bool) -> Server:
    """Serve the page in its own threads, at the loopback address only.

    Args:
        desk: Content of the page.
        port: Port to listen on; 0 for any free port.
        browser: Open the page in the user's browser.

    Raises:
        EnvironmentFault: Gradio is missing or the port is taken.
    """
    require_gradio()
    free = choose_port(port)
    uploads = Path(tempfile.mkdtemp(prefix="balancer-serve-"))
    try:
        return _launch(desk, free, browser, uploads)
    except BaseException:
        shutil.rmtree(uploads, ignore_errors=True)
        raise


def _launch(desk: "Desk", port: int, browser: bool, uploads: Path) -> Server:
    os.environ.update(_SILENT, GRADIO_TEMP_DIR=str(uploads))
    from gradio import processing_utils
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from balancer.app.page import build_page, style, theme

    # A forged upload can name an address instead of a file, and gradio would fetch it.
    processing_utils.async_ssrf_protected_download = _fetch_nothing
    page = build_page(desk)
    # Another site can rebind its name to this address; only our own names are answered.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=list(_OWN_NAMES))
    _, url, _ = page.launch(
        server_name=LOOPBACK,
        server_port=port,
        inbrowser=browser,
        prevent_thread_lock=True,
        share=False,
        quiet=True,
        show_error=True,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        max_file_size=_LARGEST_UPLOAD,
        app_kwargs={
            "middleware": [hosts, Middleware(OwnPages)],
            "docs_url": None,
            "redoc_url": None,
        },
        theme=theme(),
        css=style(),
    )
    return Server(url, page, uploads)
