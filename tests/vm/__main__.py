"""`python -m tests.vm`: a virtual machine to try things in."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from tests.debian import releases
from tests.machine import USER, MachineError
from tests.vm import image
from tests.vm.door import Door
from tests.vm.errors import VmError
from tests.vm.machine import RELEASE, Vm
from tests.vm.place import LIVE, live


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _obey(options)
    except MachineError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    build = actions.add_parser("build", help="build the image, if it does not exist yet")
    boot = actions.add_parser("boot", help="boot a machine that runs until this command ends")
    for action in (build, boot):
        action.add_argument(
            "--release",
            choices=releases.NAMES,
            default=RELEASE,
            help="release of Debian (default: %(default)s)",
        )
    actions.add_parser("shell", help="open a shell as its user")
    for who in ("user", "root"):
        action = actions.add_parser(who, help=f"run a command as its {who}")
        action.add_argument("command", nargs=argparse.REMAINDER)
    actions.add_parser("down", help="stop the machine")
    return parser


def _obey(options: argparse.Namespace) -> int:
    match options.action:
        case "build":
            sys.stdout.write(f"{image.build(releases.find(options.release)).path}\n")
            return 0
        case "boot":
            return _hold(options.release)
        case "shell":
            return Door(live(), USER).attached()
        case "down":
            return _end()
        case _:
            login = USER if options.action == "user" else "root"
            return Door(live(), login).attached(*options.command)


def _hold(release: str) -> int:
    # Both signals shut the machine down cleanly.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    try:
        with Vm.boot(release=release) as vm:
            LIVE.unlink(missing_ok=True)
            LIVE.symlink_to(vm.directory.name)
            seconds = time.monotonic() - started
            sys.stderr.write(
                f"up after {seconds:.0f} s ({vm.hardware.accelerator}); ends with ctrl-c or"
                " `down`\n"
            )
            while vm.hardware.process.poll() is None:
                time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    finally:
        LIVE.unlink(missing_ok=True)
    raise VmError("the machine has exited")


def _end() -> int:
    place = live()
    os.kill(int((place / "driver").read_text()), signal.SIGTERM)
    while place.exists():
        time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
