"""The administrator's script: one POSIX shell program that applies the fixes that need root.

It is printed for review, and this program never runs it. Every value in it is quoted for the shell
here, and a value with a control character is refused. The template shows what the measures become,
and how they are undone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_letters

from k3s_rootless import host_change
from k3s_rootless.finding import Finding, FixableBy, Remedy
from k3s_rootless.host_change import Measure, Then
from k3s_rootless.paths import linger_flag
from k3s_rootless.printable import printable, require_printable
from k3s_rootless.templates import loader, rendering

RECORDS = "/var/lib/k3s-rootless"
FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "raspbian": "debian",
    "fedora": "fedora",
    "rhel": "fedora",
    "centos": "fedora",
    "suse": "suse",
    "opensuse": "suse",
    "arch": "arch",
    "nixos": "nixos",
    "alpine": "alpine",
}
_Call = (
    host_change.Sysctl
    | host_change.Module
    | host_change.Package
    | host_change.SubordinateIds
    | host_change.Mode
    | host_change.PlainFile
    | host_change.Linger
)
"""The measures for which the script calls one of its functions."""
_PACKAGES = {
    "newuidmap": {"debian": "uidmap", "fedora": "shadow-utils", "suse": "shadow", "arch": "shadow"},
    "mount.fuse3": {"debian": "fuse3", "fedora": "fuse3", "suse": "fuse3", "arch": "fuse3"},
    "dbus.socket": {
        "debian": "dbus-user-session",
        "fedora": "dbus-daemon",
        "suse": "dbus-1-daemon",
        "arch": "dbus",
    },
}


@dataclass(frozen=True, slots=True)
class Host:
    """The user and the host that the script is for.

    `distribution` is `ID` and `ID_LIKE` of os-release.
    """

    user: str
    uid: int
    distribution: str
    version: str

    @property
    def family(self) -> str:
        """Return the family of the distribution; empty if it is unknown."""
        words = self.distribution.lower().split()
        return next((FAMILIES[word] for word in words if word in FAMILIES), "")


@dataclass(frozen=True, slots=True)
class Step:
    """One remedy in the script: its description, the checks that need it, and its lines."""

    text: str
    reasons: Sequence[str]
    lines: Sequence[str]


def administrator_remedies(findings: Iterable[Finding]) -> dict[Remedy, list[Finding]]:
    """Return the administrator's remedies of these findings, each with the findings that need it.

    Remedies and findings keep their order.
    """
    remedies: dict[Remedy, list[Finding]] = {}
    for one in findings:
        if one.remedy is not None and one.remedy.fixable_by is FixableBy.ADMINISTRATOR:
            remedies.setdefault(one.remedy, []).append(one)
    return remedies


def render(findings: Iterable[Finding], host: Host) -> str:
    """Return the script that fixes these findings."""
    remedies = administrator_remedies(findings)
    steps = [
        Step(
            printable(remedy.text),
            [_reason(one) for one in fixed],
            [line for each in remedy.measures for line in _lines(each, host)],
        )
        for remedy, fixed in remedies.items()
        if remedy.measures
    ]
    manual = [
        line
        for remedy in remedies
        if not remedy.measures
        for line in (f"manual step: {printable(remedy.text)}", *_commands(remedy))
    ]
    kinds = {type(each).__name__ for remedy in remedies for each in remedy.measures}
    # The script follows no link, so a table of ids that is a link must become a file before a row
    # is added to it.
    steps.sort(key=lambda step: not any(line.startswith("replace_link ") for line in step.lines))
    return _script(host, undo=False, steps=steps, manual=manual, kinds=kinds)


def render_undo(host: Host) -> str:
    """Return the script that undoes the changes of all scripts for this user.

    The record of these scripts lists the changes.
    """
    return _script(host, undo=True, steps=[], manual=[], kinds=set())


def _script(
    host: Host, *, undo: bool, steps: Sequence[Step], manual: Sequence[str], kinds: set[str]
) -> str:
    return rendering.text(
        loader.read("units", "administrator.sh.j2"),
        undo=undo,
        steps=steps,
        manual=manual,
        has=kinds.__contains__,
        who=printable(f"{host.user} (uid {host.uid})"),
        version=host.version,
        record=f"{RECORDS}/{host.uid}",
        modes=list(host_change.MODES),
        afterwards=quote(f"done; next, {host.user} must log in again and run: k3s-rootless check"),
    )


def _reason(finding: Finding) -> str:
    text = f"the check {finding.check}"
    if finding.observed:
        text += f" (observed: {finding.observed})"
    if finding.reason:
        text += f": {finding.reason}"
    return printable(text)


def _commands(remedy: Remedy) -> list[str]:
    omitted = "(one command is omitted, because it contains a control character)"
    commands = (one if one.isprintable() else omitted for one in remedy.commands)
    return [f"    {command}" for command in commands]


def quote(value: str) -> str:
    """Quote a value for the shell.

    Raises RootlessError if it holds a control character.
    """
    return shlex.quote(require_printable(value))


def _lines(each: Measure, host: Host) -> list[str]:
    match each:
        case host_change.File():
            return _file(each)
        case host_change.BootArgument(arguments):
            return [f"add_boot_argument {quote(one)}" for one in arguments]
        case _:
            return [_call(each, host)]


def _call(each: _Call, host: Host) -> str:
    """Return the function call of the script that applies one measure."""
    match each:
        case host_change.Sysctl(key, value, least):
            words = ["set_sysctl", quote(key), quote(value)]
            if least:
                words.append("least")
        case host_change.Module(name):
            words = ["load_module", quote(name)]
        case host_change.Package(brings):
            words = ["add_package", quote(_PACKAGES[brings].get(host.family, brings))]
        case host_change.SubordinateIds(user):
            words = ["assign_ids", quote(user), str(host.uid)]
        case host_change.Mode(path):
            words = ["change_mode", quote(path), quote(host_change.MODES[path])]
        case host_change.PlainFile(path):
            words = ["replace_link", quote(path)]
        case host_change.Linger(user):
            words = ["enable_linger", quote(user), str(host.uid), quote(linger_flag(user))]
    return " ".join(words)


def _file(each: host_change.File) -> list[str]:
    text = [require_printable(line) for line in each.text.rstrip("\n").split("\n")]
    # dash of Debian 12 loses a byte of a line that begins like the end marker and continues with a
    # character beyond ASCII. So the marker begins with a letter that no line begins with.
    begins = {line[:1] for line in text}
    end = next(
        word
        for word in ("END", *(f"{letter}_END" for letter in ascii_letters))
        if word[0] not in begins
    )
    path = quote(each.path)
    written = [f"write_file {path} <<'{end}'", *text, end]
    match each.then:
        # The change is recorded before the file. The record is undone from its end, so systemd and
        # udev reload after the file is removed.
        case Then.SYSTEMD:
            return ["record_change systemd", *written, "systemctl daemon-reload"]
        case Then.UDEV:
            reload = "! has_command udevadm || udevadm control --reload"
            return ["record_change udev", *written, reload]
        case Then.APPARMOR:
            return [*written, f"record_change profile {path}", f"apparmor_parser -r {path}"]
        case Then.NOTHING:
            return written
