"""A headless Chromium that is asked over its own pipe: what a page looks like, on paper or on a screen."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

from trainer.errors import ThawError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
)
_TIME_LIMIT_S = 60.0
_WIDTH_PX, _HEIGHT_PX = 1200, 900
_MOST_HEIGHT_PX = 16_000
_MARGINS = ("marginTop", "marginBottom", "marginLeft", "marginRight")
# Chromium reads its orders from the first and answers on the second.
_ORDERS, _ANSWERS = 3, 4


def find_browser() -> str:
    """Path of a Chromium.

    Raises:
        ThawError: there is none.
    """
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    raise ThawError(
        "no Chromium is on the PATH, which PDF and PNG are made with; install the package chromium (Debian, Ubuntu: "
        "apt-get install chromium), or print the HTML file from any browser"
    )


def write_pdf(page: Path, target: Path) -> None:
    """Prints a page as PDF.

    Args:
        page: an HTML file.
        target: file to write.

    Raises:
        ThawError: there is no browser, or it cannot.
    """
    with open_page(page) as tab:
        options = {"printBackground": True, "preferCSSPageSize": True, "paperWidth": 8.27, "paperHeight": 11.69}
        _write(target, tab.ask("Page.printToPDF", {**options, **dict.fromkeys(_MARGINS, 0.5)})["data"])


def write_png(page: Path, target: Path, width_px: int = _WIDTH_PX) -> None:
    """Takes a picture of a whole page; of a very long one, its first 16,000 pixels.

    Args:
        page: an HTML file.
        target: file to write.
        width_px: of the window.

    Raises:
        ThawError: there is no browser, or it cannot.
    """
    with open_page(page, width_px) as tab:
        height_px = min(tab.ask("Page.getLayoutMetrics")["cssContentSize"]["height"], _MOST_HEIGHT_PX)
        clip = {"x": 0, "y": 0, "width": width_px, "height": height_px, "scale": 1}
        _write(target, tab.ask("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})["data"])


def _write(target: Path, content: str) -> None:
    try:
        target.write_bytes(base64.b64decode(content))
    except OSError as error:
        raise ThawError(f"{target} cannot be written: {error.strerror or error}") from None


class Tab:
    """A page in a running browser.

    Attributes:
        events: what the page has reported so far: (method, parameters).
    """

    def __init__(self, orders: int, answers: int) -> None:
        """Takes over both ends of the pipe, as file descriptors."""
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self._orders, self._answers = orders, answers
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._target: str | None = None

    def ask(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Sends an order of the DevTools protocol and waits for its answer.

        Raises:
            ThawError: the browser refuses, ends, or does not answer in time.
        """
        self._number += 1
        order = {"id": self._number, "method": method, "params": dict(parameters or {})}
        if self._session is not None:
            order["sessionId"] = self._session
        try:
            os.write(self._orders, json.dumps(order).encode() + b"\0")
        except OSError:
            raise ThawError("the browser ended before it had answered") from None
        while (message := self._next()).get("id") != self._number:
            self.events.append((message.get("method", ""), message.get("params", {})))
        if "error" in message:
            raise ThawError(f"the browser refuses {method}: {message['error'].get('message')}")
        result: dict[str, Any] = message["result"]
        return result

    def wait_for(self, method: str) -> None:
        """Waits for an event that has not been reported yet, or was."""
        while all(name != method for name, _ in self.events):
            message = self._next()
            self.events.append((message.get("method", ""), message.get("params", {})))

    def go_to(self, page: Path, width_px: int = _WIDTH_PX) -> None:
        """Opens an HTML file in place of what was shown before, and waits until all of it is there."""
        old, self._session = self._target, None
        self._target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        if old is not None:
            self.ask("Target.closeTarget", {"targetId": old})
        self._session = self.ask("Target.attachToTarget", {"targetId": self._target, "flatten": True})["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")
        self.resize(width_px)
        self.events.clear()
        failure = self.ask("Page.navigate", {"url": page.absolute().as_uri()}).get("errorText")
        if failure:
            raise ThawError(f"the browser cannot open {page}: {failure}")
        self.wait_for("Page.loadEventFired")

    def value_of(self, expression: str) -> Any:
        """Evaluates JavaScript in the page, which need not allow any itself.

        Raises:
            ThawError: it fails.
        """
        found = self.ask("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in found:
            raise ThawError(f"the page fails at {expression!r}: {found['exceptionDetails'].get('text')}")
        return found["result"].get("value")

    def resize(self, width_px: int, height_px: int = _HEIGHT_PX) -> None:
        """Gives the window another size, narrow ones included."""
        size = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", size)

    def _next(self) -> dict[str, Any]:
        deadline_s = time.monotonic() + _TIME_LIMIT_S
        while b"\0" not in self._buffer:
            if not select([self._answers], [], [], max(deadline_s - time.monotonic(), 0))[0]:
                raise ThawError(f"the browser has not answered within {_TIME_LIMIT_S:.0f} s")
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise ThawError("the browser ended before it had answered; it may need more memory")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message


@contextmanager
def open_page(page: Path, width_px: int = _WIDTH_PX) -> Iterator[Tab]:
    """Opens an HTML file in a browser of its own, until the block ends.

    Raises:
        ThawError: there is no browser, or it does not start.
    """
    with running_browser() as tab:
        tab.go_to(page, width_px)
        yield tab


@contextmanager
def running_browser() -> Iterator[Tab]:
    """A browser with nothing open yet, until the block ends.

    Raises:
        ThawError: there is none.
    """
    browser = find_browser()
    inside_orders, orders = os.pipe()
    answers, inside_answers = os.pipe()
    # Out of the way of the two numbers that the browser expects.
    sources = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (inside_orders, inside_answers)]

    def connect() -> None:
        os.dup2(sources[0], _ORDERS)
        os.dup2(sources[1], _ANSWERS)

    # Chromium's own sandbox does not work for root, as in most containers; the page is ours, and has no script.
    rights = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="thaw-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [browser, *_OPTIONS, *rights, f"--user-data-dir={profile}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
            close_fds=False,
            preexec_fn=connect,
        )
        for end in (inside_orders, inside_answers, *sources):
            os.close(end)
        try:
            yield Tab(orders, answers)
        finally:
            os.close(orders)
            os.close(answers)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
