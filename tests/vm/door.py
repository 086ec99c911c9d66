"""A way into the machine: one ssh connection, hence one login, over which any number of commands
run.
"""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from tests.machine import Completed
from tests.vm.image import Image

RUNS = "/run/driver"
"""Where commands leave their process ids in the machine."""

_KNOCK = 6
_GOODBYE = 10
"""Seconds that ssh has to end after SIGTERM."""
_OPTIONS = {
    "BatchMode": "yes",
    "Ciphers": "aes128-gcm@openssh.com",
    "HostKeyAlias": "vm",
    "IdentitiesOnly": "yes",
    "KexAlgorithms": "curve25519-sha256",
    "LogLevel": "ERROR",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
}
_runs = itertools.count(1)


class Door:
    """A connection as `login`, kept open by a process that dies with the driver."""

    def __init__(self, directory: Path, login: str, label: str | None = None) -> None:
        self.directory = directory
        self._login = login
        # Relative to the directory, where everything runs: the whole path could be longer than a
        # socket's may be.
        self._socket = f"{label or login}.ssh"
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def is_open(self) -> bool:
        """Whether commands can be run."""
        alive = self._holder is None or self._holder.poll() is None
        return alive and (self.directory / self._socket).exists()

    def open(self, image: Image, port: int, patient: Callable[[], bool]) -> bool:
        """Log in, again and again while `patient`; return whether the machine let us in."""
        self.close()
        while not self._knock(image, port):
            if not patient():
                return False
            time.sleep(0.3)
        return True

    def close(self) -> None:
        """Log out."""
        if self._holder:
            self._holder.terminate()
            try:
                self._holder.wait(_GOODBYE)
            except subprocess.TimeoutExpired:
                # ssh waits for the commands that still run over the connection; one that hangs
                # would keep it for ever.
                self._holder.kill()
                self._holder.wait()
            self._holder = None
        (self.directory / self._socket).unlink(missing_ok=True)

    def command(
        self,
        args: tuple[str, ...],
        env: Mapping[str, str],
        *,
        run: str = "",
        terminal: bool = False,
    ) -> list[str]:
        """Return the host's command, for the door's directory, that runs `args` (or a shell) with
        `env` added.
        """
        pairs = ["env", *(f"{name}={value}" for name, value in env.items())] if env else []
        words = f"exec {shlex.join([*pairs, *args])}" if args else ""
        kept = f"echo $$ >{RUNS}/{run}; " if run else ""
        # If the connection is gone, ssh must not make one of its own: that would be another login.
        alone = ("-S", self._socket, "-o", "ProxyCommand=false", "-o", "LogLevel=ERROR")
        return [
            "ssh",
            "-F",
            "none",
            "-e",
            "none",
            *alone,
            "-t" if terminal else "-T",
            "vm",
            f"{kept}{words}",
        ]

    def run(
        self,
        args: tuple[str, ...],
        *,
        timeout: float,
        stdin: str | None,
        env: Mapping[str, str],
        run: str,
    ) -> Completed:
        """Run `args`; on a timeout, only the host's end is ended."""
        command = self.command(args, env, run=run)
        give = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        # Bytes that are no UTF-8 are the program's; a test that minds them sees replacement
        # characters.
        done = subprocess.run(
            command,
            check=False,
            cwd=self.directory,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            **give,
        )
        return subprocess.CompletedProcess(list(args), done.returncode, done.stdout, done.stderr)

    def attached(self, *args: str) -> int:
        """Run `args` (or a shell) on the caller's own terminal or files, and return the exit
        status.
        """
        here = {name: os.environ[name] for name in ("NO_COLOR",) if name in os.environ}
        terminal = os.isatty(0) and os.isatty(1)
        process = subprocess.Popen(self.command(args, here, terminal=terminal), cwd=self.directory)
        while True:
            # An interrupt from the terminal is for the program; it decides whether to end.
            with suppress(KeyboardInterrupt):
                return process.wait()

    def _knock(self, image: Image, port: int) -> bool:
        options = _OPTIONS | {
            "ControlPath": self._socket,
            "ConnectTimeout": str(_KNOCK),
            "IdentityFile": str(image.key),
            "UserKnownHostsFile": str(image.known_hosts),
        }
        pairs = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        target = ("-p", str(port), f"{self._login}@127.0.0.1")
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "ssh",
            "-F",
            "none",
            "-M",
            "-N",
            "-n",
            *pairs,
            *target,
        ]
        with (self.directory / f"{self._socket}.log").open("ab") as log:
            self._holder = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        while self._holder.poll() is None:
            if self.is_open:
                return True
            time.sleep(0.02)
        return False


def new_run() -> str:
    """Return a name for a command in the machine."""
    return f"run-{next(_runs)}"


def send(root: Door, run: str, sig: int, *, group: bool = False) -> None:
    """Signal the program that was started as `run`, or all of its process group."""
    name = signal.Signals(sig).name.removeprefix("SIG")
    script = f'until [ -s {RUNS}/$1 ]; do sleep 0.1; done; kill -s "$2" -- "$3$(cat {RUNS}/$1)"'
    words = ("timeout", "10", "sh", "-c", script, "sh", run, name, "-" if group else "")
    root.run(words, timeout=30, stdin=None, env={}, run="")
