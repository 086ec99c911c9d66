"""Ordered faults: failures at an ordered time that cannot be produced on a healthy machine."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .journal import Fatal, Journal
from .milestones import Milestones
from .orders import Orders
from .release import Release

if TYPE_CHECKING:
    from .health import Gate

_PANIC_CODE = 2
_BATCH = 200
_FEWEST_FILES = 256
"""A real K3s v1.36.3 exits with a LimitNOFILE= of 64."""
_PANICKED = (
    "panic: runtime error: invalid memory address or nil pointer dereference",
    "[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x1d4b9a6]",
    "",
    "goroutine 4242 [running]:",
    "panic({0x5a3c1c0?, 0xb1d2f40?})",
    "\t/usr/local/go/src/runtime/panic.go:792 +0x132",
    "k8s.io/kube-openapi/pkg/cached.(*Atomic[...]).Get(0xc0041c2a00)",
    "\t/go/pkg/mod/k8s.io/kube-openapi/pkg/cached/cache.go:264 +0x5d",
    (
        "k8s.io/kube-openapi/pkg/handler3.(*OpenAPIService).HandleDiscovery(0xc000f4a180,"
        " {0x67d3b30, 0xc006d0a540})"
    ),
    "\t/go/pkg/mod/k8s.io/kube-openapi/pkg/handler3/handler.go:169 +0x4e",
    "created by net/http.(*Server).Serve in goroutine 912",
    "\t/usr/local/go/src/net/http/server.go:3454 +0x485",
    "",
)
"""Lines in the order of a panic of a real K3s v1.36.3: the panicking goroutine is first."""


def arm(
    orders: Orders,
    gate: Gate,
    journal: Journal,
    milestones: Milestones,
    end: Callable[[Fatal], None],
) -> None:
    """Start a timer for each ordered fault."""
    if orders.hang_api:
        gate.hang.set()
    if orders.hang_api_after is not None:
        _later(orders.hang_api_after, gate.hang.set)
    if orders.freeze_after is not None:
        _later(orders.freeze_after, lambda: _freeze(milestones))
    if orders.panic:
        _later(orders.panic_after, lambda: panic(orders.panic, journal, milestones))
    die = orders.die
    if die is not None and "signal" in die:
        number = int(die["signal"])
        _later(float(die.get("after", 0)), lambda: os.kill(os.getpid(), number))
    elif die is not None and die.get("where", "child") == "child":
        fatal = ordered_death(die)
        _later(float(die.get("after", 0)), lambda: end(fatal))


def ordered_death(die: dict[str, Any]) -> Fatal:
    """Return the fatal error that the order `die` describes."""
    level, code = str(die.get("level", "fatal")), int(die.get("code", 1))
    return Fatal(str(die["message"]), level=level, code=code, raw=bool(die.get("raw", False)))


def require_files(data_dir: Path, release: Release) -> None:
    """Raise Fatal if the limit of open files is too low for K3s.

    The stand-in itself needs fewer files than K3s.
    """
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= _FEWEST_FILES:
        return
    certificate = data_dir / "server" / "tls" / "server-ca.crt"
    why = f'problem initializing API group "": open {certificate}: too many open files'
    raise release.last_message(f"apiserver exited: {why}")


def panic(lines: int, journal: Journal, milestones: Milestones) -> None:
    """Write a Go panic of about `lines` lines, and end the process as the Go runtime does."""
    milestones.mark("panic")
    output = list(_PANICKED)
    number = 1
    while len(output) < lines:
        output += [
            f"goroutine {number} [select, {number % 60} minutes]:",
            (
                "k8s.io/apimachinery/pkg/util/wait.waitForWithContext({0x5c1b3a8,"
                f" 0xc00{number:07x}}})"
            ),
            (
                f"\t/go/pkg/mod/k8s.io/apimachinery/pkg/util/wait/wait.go:{200 + number % 300}"
                f" +0x{number % 4096:x}"
            ),
            "",
        ]
        number += 1
    for first in range(0, lines, _BATCH):
        journal.raw("\n".join(output[first : min(first + _BATCH, lines)]))
    os._exit(_PANIC_CODE)


def _freeze(milestones: Milestones) -> None:
    milestones.mark("frozen")
    os.kill(os.getpid(), signal.SIGSTOP)


def _later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
