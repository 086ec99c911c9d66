"""Programs in the machine that are started and signalled from the host."""

from __future__ import annotations

import subprocess

from tests.vm.door import Door, new_run, send


class RemoteProcess(subprocess.Popen[str]):
    """Process on the host for a program in the machine: signals reach the program.

    The exit status is that of the program, or 255 if a signal ended the program.
    """

    def __init__(self, door: Door, root: Door, args: tuple[str, ...]) -> None:
        self._root = root
        self._run = new_run()
        pipe = subprocess.PIPE
        command = door.command(args, {}, run=self._run)
        super().__init__(
            command,
            cwd=door.directory,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
        )

    def send_signal(self, sig: int) -> None:
        """Send `sig` to the program, if it is still running."""
        if self.poll() is None:
            send(self._root, self._run, sig)

    def terminate(self) -> None:
        """Send SIGTERM to the program."""
        self.send_signal(15)

    def kill(self) -> None:
        """Kill the program."""
        self.send_signal(9)
