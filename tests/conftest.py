"""What all tests share: the machines, booted when a test first asks for one."""

from __future__ import annotations

import signal

pytest_plugins = ["tests.lab.fixtures", "tests.vm.fixtures"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in what a shell started in the background; programs under test would inherit it, and not end at an interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
