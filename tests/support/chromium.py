"""Headless Chromium without any network, which records the requests of a page."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


_ITS_OWN = ("google.com", "googleapis.com", "gvt1.com", "~notfound")


@dataclass(frozen=True)
class Opened:
    """Result of a page: its document as text, its picture, and the requested addresses."""

    document: str
    picture: Path
    requests: tuple[str, ...]


def program() -> str | None:
    """Return the path of Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def opened(page: Path, place: Path, *, dark: bool = False, height: int = 3200) -> Opened:
    """Open a page; `place` is the directory for the profile, the network log and the picture."""
    address = page.as_uri()
    log, picture = place / "net.json", place / f"{'dark' if dark else 'light'}.png"
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    document = _run(place, "--dump-dom", f"--log-net-log={log}", address)
    _run(place, scheme, f"--window-size=1100,{height}", f"--screenshot={picture}", address)
    return Opened(document, picture, tuple(_requests(json.loads(log.read_text()))))


def _run(place: Path, *arguments: str) -> str:
    found = program()
    assert found
    command = [found, *_OPTIONS, f"--user-data-dir={place / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout


def _requests(log: dict[str, Any]) -> set[str]:
    # URL_REQUEST_START_JOB has the address of each request, with any scheme.
    kinds = {number: name for name, number in log["constants"]["logEventTypes"].items()}
    found = {
        str(event["params"]["url"])
        for event in log["events"]
        if kinds.get(event["type"]) == "URL_REQUEST_START_JOB" and "url" in event.get("params", {})
    }
    # Chromium sends these requests itself, for any page; none of them is answered.
    return {url for url in found if not (urlsplit(url).hostname or "").endswith(_ITS_OWN)}
