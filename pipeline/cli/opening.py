"""Showing a page to whoever sits at this machine."""

import os
import sys
import webbrowser
from pathlib import Path


def open_in_browser(page: Path) -> bool:
    """Opens a page where a person and a graphical browser are; returns whether it did."""
    has_screen = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return sys.stdout.isatty() and has_screen and webbrowser.open(page.absolute().as_uri())
