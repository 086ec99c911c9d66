"""The administrator's script for NixOS, whose hosts are declared: it changes nothing, and says which lines to write."""

from __future__ import annotations

from collections.abc import Iterable

from k3s_rootless import measure
from k3s_rootless.finding import Remedy
from k3s_rootless.measure import Measure, Then
from k3s_rootless.printable import printable


def declared(asked: Iterable[Remedy], user: str) -> str:
    """Give a script that says what to write into the configuration; `asked` are the remedies, `user` whom they are for."""
    lines = [line for remedy in asked for each in remedy.measures for line in _lines(each, user)]
    lines += [f"# by hand: {printable(remedy.text)}" for remedy in asked if not remedy.measures]
    return "\n".join(
        (
            "#!/bin/sh",
            f"# What rootless K3s of {printable(user)} needs, as lines for the configuration of this NixOS host.",
            "# They are printed only, since NixOS undoes what is done otherwise; taking them out again takes it back.",
            "cat <<'END'",
            *dict.fromkeys(lines),
            "END",
            "",
        )
    )


def _lines(each: Measure, user: str) -> list[str]:
    match each:
        case measure.File(path, text, Then.SYSTEMD) if path.startswith("/etc/systemd/system/user@.service.d/"):
            settings = [line.partition("=") for line in text.splitlines() if "=" in line]
            lines = [
                f'systemd.services."user@" = {{ overrideStrategy = "asDropin"; serviceConfig.{key} = {_string(value)}; }};'
                for key, _, value in settings
            ]
        case measure.Sysctl(key, value):
            lines = [f"boot.kernel.sysctl.{_string(key)} = {value};"]
        case measure.Module(name):
            lines = [f"boot.kernelModules = [ {_string(name)} ];"]
        case measure.SubordinateIds():
            lines = [f"users.users.{_string(user)}.autoSubUidGidRange = true;"]
        case measure.BootArgument(arguments):
            lines = [f"boot.kernelParams = [ {' '.join(map(_string, arguments))} ];"]
        case measure.Linger():
            lines = [f"users.users.{_string(user)}.linger = true;"]
        case measure.Package("mount.fuse3"):
            lines = ["environment.systemPackages = [ pkgs.fuse3 ];"]
        case _:
            lines = [f"# by hand: {printable(str(each))}"]
    return lines


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'
