"""`python -m tests.lab`: run a lab, or demonstrate the first command of the README in one."""

from __future__ import annotations

import argparse
import sys

from tests.debian import releases
from tests.lab.demo import demonstrate
from tests.lab.driver import Lab
from tests.lab.site import Site
from tests.machine import MachineError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _obey(options)
    except MachineError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--name", default="play", help="name of the lab (default: %(default)s)")
    actions = parser.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up", help="boot a lab that keeps running")
    shell = actions.add_parser("shell", help="open a shell as its user; boot the lab if necessary")
    for action in (up, shell):
        action.add_argument(
            "--release",
            choices=releases.NAMES,
            help="release of Debian (default: the release of this host)",
        )
    for who in ("user", "root"):
        action = actions.add_parser(who, help=f"run a command as its {who}")
        action.add_argument("command", nargs=argparse.REMAINDER)
    actions.add_parser("status", help="show whether the lab is running, and its state")
    actions.add_parser("down", help="remove the lab")
    actions.add_parser("demo", help="demonstrate k3s-rootless in a separate lab")
    for action in actions.choices.values():
        action.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _obey(options: argparse.Namespace) -> int:
    name = options.name
    match options.action:
        case "demo":
            return demonstrate()
        case "up":
            Lab.up(name, release=options.release, stay=True)
            return _status(name)
        case "down":
            Lab.clear(name)
            return 0
        case "status":
            return _status(name)
        case "shell":
            lab = (
                Lab.find(name)
                if Site(name).settled()
                else Lab.up(name, release=options.release, stay=True)
            )
            return lab.attached(
                "script", "--quiet", "--return", "--command", "bash --login", "/dev/null"
            )
        case _:
            return Lab.find(name).attached(*options.command, as_root=options.action == "root")


def _status(name: str) -> int:
    lab = Lab.find(name)
    system = lab.root("systemctl", "is-system-running").stdout.strip()
    user = lab.user("systemctl", "--user", "is-system-running").stdout.strip()
    version = lab.root("systemctl", "--version").stdout.splitlines()[0]
    sys.stdout.write(f"lab {name}: {version}; system {system}; user manager {user}\n")
    return 0 if system == user == "running" else 1


if __name__ == "__main__":
    sys.exit(main())
