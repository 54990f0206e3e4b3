"""The server of the page, reachable from this machine only."""

import importlib.util
import os
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from balancer.app.middleware import LOOPBACK, OWN_NAMES, BoundedUploads, OnlyPage, OwnPages
from balancer.app.upload_folder import UploadFolder, sweep
from balancer.errors import EnvironmentFault

if TYPE_CHECKING:
    from balancer.app.desk import Desk

UPLOAD_LIMIT = 500
"""Megabytes of all uploads together; a classifier has up to some tens, a film a few."""
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
    _uploads: UploadFolder

    def wait(self) -> None:
        """Serve until a signal to stop, then remove uploads.

        Raises:
            KeyboardInterrupt: The signal.
        """
        try:
            threading.Event().wait()
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving and remove what was uploaded."""
        try:
            self._page.close(verbose=False)
        finally:
            self._uploads.remove()


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


def start(desk: "Desk", *, port: int, browser: bool, upload_limit: int = UPLOAD_LIMIT) -> Server:
    """Serve the page in its own threads, at the loopback address only.

    Args:
        desk: Content of the page.
        port: Port to listen on; 0 for any free port.
        browser: Open the page in the user's browser.
        upload_limit: Megabytes of all uploads together; beyond it the oldest are removed.

    Raises:
        EnvironmentFault: Gradio is missing or the port is taken.
    """
    require_gradio()
    free = choose_port(port)
    sweep()
    uploads = UploadFolder(upload_limit * 10**6)
    try:
        return _launch(desk, free, browser, uploads)
    except BaseException:
        uploads.remove()
        raise


def _launch(desk: "Desk", port: int, browser: bool, uploads: UploadFolder) -> Server:
    os.environ.update(_SILENT, GRADIO_TEMP_DIR=str(uploads.files))
    from gradio import processing_utils
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from balancer.app.page import build_page, style, theme

    # A forged upload can name an address instead of a file, and gradio would fetch it.
    processing_utils.async_ssrf_protected_download = _fetch_nothing
    page = build_page(desk, discard=uploads.discard)
    uploads.keep_present()
    guards = [
        # Another site can rebind its name to this address; only our own names are answered.
        Middleware(TrustedHostMiddleware, allowed_hosts=list(OWN_NAMES)),
        Middleware(OwnPages),
        Middleware(OnlyPage, functions=page.fns),
        Middleware(BoundedUploads, folder=uploads),
    ]
    _, url, _ = page.launch(
        server_name=LOOPBACK,
        server_port=port,
        inbrowser=browser,
        prevent_thread_lock=True,
        share=False,
        quiet=True,
        show_error=False,  # texts of gradio's errors name folders of this machine
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        max_file_size=uploads.limit,
        app_kwargs={
            "middleware": guards,
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
        theme=theme(),
        css=style(),
    )
    return Server(url, page, uploads)
