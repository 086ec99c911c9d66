"""One qemu process: the hardware of the machine and its snapshots, not the software inside."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.vm import recipe
from tests.vm.accelerator import accelerator
from tests.vm.errors import VmError
from tests.vm.image import Image

_SSH = {"user": 22, "root": 2222}
_MONITOR_PATIENCE = 120


class Qemu:
    """Running machine that exits with the driver.

    It has no network except two forwarded ports on loopback.
    """

    def __init__(self, image: Image, payload: Path, directory: Path, memory: int) -> None:
        self.console = directory / "console.log"
        self.accelerator, processor = accelerator(image)
        disk = directory / "disk.qcow2"
        backing = ("-b", str(image.disk), "-F", "raw")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(disk)], check=True)
        ours, theirs = socket.socketpair()
        forwards = ",".join(f"hostfwd=tcp:127.0.0.1:0-:{port}" for port in _SSH.values())
        command = (
            *(
                "setpriv",
                "--pdeathsig",
                "KILL",
                "qemu-system-x86_64",
                "-nodefaults",
                "-no-user-config",
            ),
            *(
                "-display",
                "none",
                "-accel",
                self.accelerator,
                "-cpu",
                processor,
                "-smp",
                "2",
                "-m",
                str(memory),
            ),
            *(
                "-kernel",
                str(image.kernel),
                "-initrd",
                str(image.initrd),
                "-append",
                recipe.KERNEL_COMMAND_LINE,
            ),
            *("-drive", f"file={disk},if=virtio,cache=unsafe,discard=unmap"),
            *("-drive", f"file={payload},if=virtio,format=raw,readonly=on"),
            *(
                "-netdev",
                f"user,id=net,restrict=on,{forwards}",
                "-device",
                "virtio-net-pci,netdev=net,romfile=",
            ),
            *("-serial", f"file:{self.console}"),
            *(
                "-chardev",
                f"socket,id=monitor,fd={theirs.fileno()}",
                "-mon",
                "chardev=monitor,mode=control",
            ),
        )
        with theirs, (directory / "qemu.log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        ours.settimeout(_MONITOR_PATIENCE)
        self._log = Path(log.name)
        self._socket = ours
        self._monitor = ours.makefile("rw")
        self._answer()
        self._execute("qmp_capabilities")

    def ports(self) -> dict[str, int]:
        """Return the loopback ports of the doors for `user` and `root`."""
        table = self.command("info usernet")
        found = {
            int(inner): int(outer)
            for outer, inner in re.findall(r"HOST_FORWARD\S* +\S+ +\S+ +(\d+) +\S+ +(\d+)", table)
        }
        return {door: found[port] for door, port in _SSH.items()}

    def command(self, line: str) -> str:
        """Run a command of the human monitor, and return its output."""
        output = self._execute("human-monitor-command", {"command-line": line})
        return str(output)

    def save(self, name: str) -> None:
        """Save the state of disk, memory and devices."""
        self._silent(f"savevm {name}")

    def load(self, name: str) -> None:
        """Restore a saved state, including the clock of the machine."""
        self._silent(f"loadvm {name}")

    def reset(self) -> None:
        """Cut the power, and boot again."""
        self._execute("system_reset")

    def stop(self) -> None:
        """Stop the machine immediately."""
        self.process.kill()
        self.process.wait()
        self._monitor.close()
        self._socket.close()

    def end_of_output(self) -> str:
        """Return the end of the output of qemu and of the console."""
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join([*self._log.read_text().splitlines()[-5:], *console.splitlines()[-20:]])

    def _silent(self, line: str) -> None:
        if trouble := self.command(line).strip():
            raise VmError(f"qemu: {line}: {trouble}")

    def _execute(self, name: str, arguments: dict[str, str] | None = None) -> object:
        try:
            self._monitor.write(json.dumps({"execute": name, "arguments": arguments or {}}) + "\n")
            self._monitor.flush()
        except OSError as error:
            raise VmError(f"qemu has exited: {self.end_of_output()}") from error
        answer = self._answer()
        if "error" in answer:
            raise VmError(f"qemu: {name}: {answer['error']}")
        return answer["return"]

    def _answer(self) -> dict[str, Any]:
        for line in self._monitor:
            message: dict[str, Any] = json.loads(line)
            if "event" not in message:
                return message
        self.process.wait()
        raise VmError(f"qemu has exited: {self.end_of_output()}")
