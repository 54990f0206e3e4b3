"""The server of the page, reachable from this machine only unless `--host` asks for more."""

import importlib.util
import ipaddress
import os
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.app.middleware import (
    LOOPBACK,
    OWN_NAMES,
    BoundedUploads,
    OnlyPage,
    OwnPages,
    Token,
)
from balancer.app.upload_folder import UploadFolder, sweep
from balancer.errors import ConfigurationError, EnvironmentFault

if TYPE_CHECKING:
    from starlette.middleware import Middleware

    from balancer.app.desk import Desk
    from balancer.app.site import Site

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
        url: Address of the page, with the token if it has one.
        is_open: Whether other machines reach it.
    """

    url: str
    is_open: bool
    _page: Any
    _site: "Site"
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
            self._site.close()
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


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine only.

    Raises:
        ConfigurationError: It is no address.
    """
    try:
        return ipaddress.IPv4Address(LOOPBACK if host == "localhost" else host).is_loopback
    except ValueError:
        raise ConfigurationError(
            f"--host should be an IPv4 address of this machine, such as 0.0.0.0 for all, not "
            f"{host!r}."
        ) from None


def choose_port(wanted: int, host: str = LOOPBACK) -> int:
    """Return the port to listen on; 0 for any free port.

    Raises:
        EnvironmentFault: Another program uses the port, or the address is another machine's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as error:
            raise EnvironmentFault(
                f"--port {wanted} of {host} should be free, but: {error.strerror}; choose another, "
                "or 0 for any."
            ) from None
        port: int = probe.getsockname()[1]
    return port


def start(
    desk: "Desk",
    *,
    port: int,
    browser: bool,
    host: str = LOOPBACK,
    studies: Path | None = None,
    upload_limit: int = UPLOAD_LIMIT,
) -> Server:
    """Serve the page in its own threads; beyond this machine only to those who have the token.

    Args:
        desk: Content of the page.
        port: Port to listen on; 0 for any free port.
        browser: Open the page in the user's browser.
        host: Address to listen on.
        studies: Folder of workspaces to list.
        upload_limit: Megabytes of all uploads together; beyond it the oldest are removed.

    Raises:
        ConfigurationError: The host is no address.
        EnvironmentFault: Gradio is missing or the port is taken.
    """
    require_gradio()
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    free = choose_port(port, host)
    sweep()
    uploads = UploadFolder(upload_limit * 10**6)
    try:
        return _launch(desk, host, free, token, studies, browser, uploads)
    except BaseException:
        uploads.remove()
        raise


def _launch(
    desk: "Desk",
    host: str,
    port: int,
    token: str,
    studies: Path | None,
    browser: bool,
    uploads: UploadFolder,
) -> Server:
    os.environ.update(_SILENT, GRADIO_TEMP_DIR=str(uploads.files))
    from gradio import processing_utils

    from balancer.app.page import build_page, style, theme
    from balancer.app.site import Site

    # A forged upload can name an address instead of a file, and gradio would fetch it.
    processing_utils.async_ssrf_protected_download = _fetch_nothing
    page = build_page(desk, discard=uploads.discard)
    uploads.keep_present()
    site = Site(desk, uploads, studies)
    app, url, _ = page.launch(
        server_name=host,
        server_port=port,
        inbrowser=browser and not token,
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
            "middleware": _guards(page, uploads, token),
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
        theme=theme(),
        css=style(),
    )
    app.router.routes[:0] = site.routes()  # before gradio's, which answer every path
    address = url.replace("0.0.0.0", socket.gethostname()) if token else url
    return Server(address + (f"?token={token}" if token else ""), bool(token), page, site, uploads)


def _guards(page: Any, uploads: UploadFolder, token: str) -> "list[Middleware]":
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    first = (
        Middleware(Token, token=token)
        if token
        # Another site can rebind its name to this address; only our own names are answered.
        else Middleware(TrustedHostMiddleware, allowed_hosts=list(OWN_NAMES))
    )
    return [
        first,
        Middleware(OwnPages, any_name=bool(token)),
        Middleware(OnlyPage, functions=page.fns),
        Middleware(BoundedUploads, folder=uploads),
    ]
