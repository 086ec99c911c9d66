"""SSH access to the machine: one connection, hence one login, for any number of commands."""

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
"""Directory in the machine where commands leave their process ids."""

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
    """Connection as `login`, kept open by a process that exits with the driver."""

    def __init__(self, directory: Path, login: str, label: str | None = None) -> None:
        self.directory = directory
        self._login = login
        # Relative to the working directory of ssh: the absolute path could exceed the length limit
        # of sockets.
        self._socket = f"{label or login}.ssh"
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def is_open(self) -> bool:
        """Return whether commands can be run."""
        alive = self._holder is None or self._holder.poll() is None
        return alive and (self.directory / self._socket).exists()

    def open(self, image: Image, port: int, patient: Callable[[], bool]) -> bool:
        """Log in, with retries while `patient()` holds; return whether the login succeeded."""
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
                # ssh waits for commands that still use the connection; a command that hangs would
                # block it forever.
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
        """Return the command of the host that runs `args` (or a shell) with `env` added.

        It must run in the directory of the door.
        """
        pairs = ["env", *(f"{name}={value}" for name, value in env.items())] if env else []
        command = f"exec {shlex.join([*pairs, *args])}" if args else ""
        kept = f"echo $$ >{RUNS}/{run}; " if run else ""
        # If the connection is lost, ssh must not open another one: that would be another login.
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
            f"{kept}{command}",
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
        """Run `args`; on a timeout, end only the process on the host."""
        command = self.command(args, env, run=run)
        give = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        # Programs can print bytes that are not UTF-8. They become replacement characters.
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
        """Run `args` (or a shell) on the caller's terminal or files; return the exit status."""
        here = {name: os.environ[name] for name in ("NO_COLOR",) if name in os.environ}
        terminal = os.isatty(0) and os.isatty(1)
        process = subprocess.Popen(self.command(args, here, terminal=terminal), cwd=self.directory)
        while True:
            # An interrupt at the terminal is meant for the program, which decides whether to end.
            with suppress(KeyboardInterrupt):
                return process.wait()

    def _knock(self, image: Image, port: int) -> bool:
        options = _OPTIONS | {
            "ControlPath": self._socket,
            "ConnectTimeout": str(_KNOCK),
            "IdentityFile": str(image.key),
            "UserKnownHostsFile": str(image.known_hosts),
        }
        pairs = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
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
    """Return a unique name for a command in the machine."""
    return f"run-{next(_runs)}"


def send(root: Door, run: str, sig: int, *, group: bool = False) -> None:
    """Send a signal to the program that was started as `run`, or to its whole process group."""
    name = signal.Signals(sig).name.removeprefix("SIG")
    script = f'until [ -s {RUNS}/$1 ]; do sleep 0.1; done; kill -s "$2" -- "$3$(cat {RUNS}/$1)"'
    command = ("timeout", "10", "sh", "-c", script, "sh", run, name, "-" if group else "")
    root.run(command, timeout=30, stdin=None, env={}, run="")
