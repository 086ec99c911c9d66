"""The administrator's script for NixOS: it changes nothing, and prints which lines to add.

NixOS hosts are declared in a configuration, and NixOS undoes all other changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from k3s_rootless import host_change
from k3s_rootless.finding import Remedy
from k3s_rootless.host_change import Measure, Then
from k3s_rootless.printable import printable, require_printable


def render(remedies: Iterable[Remedy], user: str) -> str:
    """Return a script that prints the lines to add to the configuration of the host.

    No attribute occurs twice. `user` is the name of the user that the remedies are for. Raises
    RootlessError if a value contains a control character.
    """
    remedies = tuple(remedies)
    measures = [each for remedy in remedies for each in remedy.measures]
    lines = [line for each in measures for line in _lines(each, user)] + _lists(measures)
    lines += [_manual(remedy.text) for remedy in remedies if not remedy.measures]
    return "\n".join(
        (
            "#!/bin/sh",
            (
                f"# Settings that rootless K3s of {printable(user)} needs, for the configuration of"
                " this NixOS host."
            ),
            "# This script only prints them: NixOS reverts changes outside its configuration.",
            "# To undo the changes, remove the lines from the configuration.",
            "cat <<'END'",
            *dict.fromkeys(lines),
            "END",
            "",
        )
    )


def _lines(each: Measure, user: str) -> list[str]:
    match each:
        case host_change.File(path, text, Then.SYSTEMD) if path.startswith(
            "/etc/systemd/system/user@.service.d/"
        ):
            lines = _user_service(text)
        case host_change.Sysctl(key, value):
            written = value if value.isdecimal() else _string(value)
            lines = [f"boot.kernel.sysctl.{_string(key)} = {written};"]
        case host_change.Module() | host_change.BootArgument() | host_change.Package("mount.fuse3"):
            lines = []
        case host_change.SubordinateIds():
            lines = [f"users.users.{_string(user)}.autoSubUidGidRange = true;"]
        case host_change.Linger():
            lines = [f"users.users.{_string(user)}.linger = true;"]
        case _:
            lines = [_manual_step(each)]
    return lines


def _manual_step(
    each: host_change.Mode | host_change.PlainFile | host_change.Package | host_change.File,
) -> str:
    """Return the comment for a measure that is not an attribute of the configuration."""
    match each:
        case host_change.Mode(path):
            return _manual(f"chmod {host_change.MODES[path]} {path}")
        case host_change.PlainFile(path):
            return _manual(f"replace the symbolic link {path} with a file of the same content")
        case host_change.Package(brings):
            return _manual(f"install the package that contains {brings}")
        case host_change.File(path, text):
            return _manual(f"write the file {path}, with these lines:", *text.splitlines())


def _manual(text: str, *more: str) -> str:
    """Return a comment that describes a manual step; `more` are further lines of the comment."""
    lines = (f"#   {printable(line)}" for line in more)
    return "\n".join((f"# manual step: {printable(text)}", *lines))


def _user_service(drop_in: str) -> list[str]:
    """Return the lines that declare the settings of a drop-in of user@.service."""
    service = 'systemd.services."user@"'
    settings = [line.partition("=") for line in drop_in.splitlines() if "=" in line]
    lines = [f"{service}.serviceConfig.{key} = {_string(value)};" for key, _, value in settings]
    return [f'{service}.overrideStrategy = "asDropin";', *lines]


def _lists(measures: Iterable[Measure]) -> list[str]:
    """Return the lines of attributes that are lists.

    Nix refuses a set that defines one attribute twice.
    """
    lists: dict[str, dict[str, None]] = {}
    for each in measures:
        match each:
            case host_change.Module(name):
                lists.setdefault("boot.kernelModules", {})[_string(name)] = None
            case host_change.BootArgument(arguments):
                lists.setdefault("boot.kernelParams", {}).update(
                    dict.fromkeys(map(_string, arguments))
                )
            case host_change.Package("mount.fuse3"):
                lists.setdefault("environment.systemPackages", {})["pkgs.fuse3"] = None
    return [f"{name} = [ {' '.join(items)} ];" for name, items in lists.items()]


def _string(text: str) -> str:
    escaped = (
        require_printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    )
    return f'"{escaped}"'
