"""The page as a PDF, printed by a browser of this machine.

The page's own rules for print decide the layout: a browser gives what a reader would print.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from balancer.errors import EnvironmentFault
from balancer.files import replacing

BROWSER = "CHROME_PATH"
"""Environment variable that names the browser."""
_NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "msedge"),
)
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_FLAGS = (
    *("--headless", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--no-pdf-header-footer"),
)
_SECONDS = 180


def find_browser() -> Path:
    """Return a browser that prints: that of `CHROME_PATH`, else Chromium, Chrome or Edge.

    Raises:
        EnvironmentFault: There is none.
    """
    named = os.environ.get(BROWSER)
    candidates = [named] if named else [*map(shutil.which, _NAMES), *_PLACES]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    found = f"{BROWSER} is {named}, which is no file" if named else "none was found"
    raise EnvironmentFault(
        f"A PDF is printed by Chromium, Chrome or Edge, but {found}; install one or name it in "
        f"{BROWSER}, or print the page from any browser."
    )


def print_pdf(browser: Path, page: Path, pdf: Path) -> None:
    """Print a page.

    Args:
        browser: A browser of the family of Chromium.
        page: The page; it loads no other file.
        pdf: File to write; an existing one is replaced when the new one is whole.

    Raises:
        EnvironmentFault: The browser printed nothing.
    """
    # As root, as in a container, its sandbox cannot start; the page is our own and runs no script.
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with tempfile.TemporaryDirectory() as profile, replacing(pdf) as partial:
        command = [
            *(str(browser), *_FLAGS, *(["--no-sandbox"] if is_root else [])),
            *(f"--user-data-dir={profile}", f"--print-to-pdf={partial.absolute()}"),
            page.absolute().as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            said = [f"no answer in {_SECONDS} seconds"]
        except OSError as error:
            said = [error.strerror or str(error)]
        if not partial.is_file() or not partial.read_bytes().startswith(b"%PDF-"):
            raise EnvironmentFault(
                f"{browser} should print {page.name}, but printed nothing ({' '.join(said)[:200]});"
                f" name another browser in {BROWSER}, or print the page from any browser."
            )
