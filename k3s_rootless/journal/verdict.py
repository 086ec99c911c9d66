"""The diagnosis: one cause with its evidence and its remedy, from the log, systemd and the host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from shlex import quote

from k3s_rootless import byte_size
from k3s_rootless.finding import Finding, FixableBy, Remedy, Verdict, disable_drop_in, matches
from k3s_rootless.journal import exits, limits, recognition
from k3s_rootless.journal.catalogue import CATALOGUE
from k3s_rootless.journal.catalogue.entry import RESTART, administrator, user
from k3s_rootless.journal.facts import Cause, Ending, Entry, Full, Place, StartLog

_UNIT_CHECK = "unit.state"
_EXITED, _KILLED, _DUMPED = 1, 2, 3
_SIGKILL = 9
_DATA = "~/.rancher/k3s"
_ENTRIES = {failure.id: failure for failure in CATALOGUE}
_STATUS = "systemctl --user status k3s-rootless.service"
_UNIT = user(
    "check the settings of the unit and of its drop-ins",
    "systemctl --user cat k3s-rootless.service",
)
_START_LIMIT = "the unit allows StartLimitBurst= starts within StartLimitIntervalSec="
_RESET = user(
    "reset the failed state of the unit, then start K3s",
    "systemctl --user reset-failed k3s-rootless.service",
    "k3s-rootless up",
)
_DECISIVE = (
    "userns",
    "uidmap",
    "subid",
    "sysctl.ip_forward",
    "systemd",
    "device",
    "snapshotter.mount_fuse3",
    "config",
    "storage.mount",
)
_WARNING_GROUPS = ("kernel", "net.cidr")
_NOT_FAILED = frozenset({Verdict.PASS, Verdict.INFO, Verdict.WARN})
_KEEPS_ITS_REMEDY = frozenset({"data-readonly"})
"""The remedy of the check (another data directory) would leave the cluster behind."""
_SETTINGS = {
    "exec-failed": "ExecStart=",
    "flag-unknown": "ExecStart=",
    "slirp4netns-missing": "PATH=",
}
"""The setting of a drop-in that can lead to each of these causes."""
_OPTION = re.compile(r"the option -{1,2}([\w.-]{1,100})")
_EXPIRED = re.compile(r"current time \S{1,40} is after ")
_FIXED_SINCE = user("the host was fixed after this start; start K3s again", "k3s-rootless up")


def of_unit(ending: Ending) -> Cause | None:
    """Return why systemd does not start the unit at all: it is masked, or cannot be read."""
    if ending.load_state == "masked":
        # Each of the two commands leaves the link of the other alone (systemctl(1)).
        unmask = (
            "systemctl --user unmask k3s-rootless.service",
            "systemctl --user unmask --runtime k3s-rootless.service",
        )
        remedy = user("unmask the unit, then start K3s", *unmask, "k3s-rootless up")
        return _cause(
            "unit-masked",
            "the unit is masked, so it cannot be started",
            "its unit file is a link to /dev/null",
            remedy,
            _UNIT_CHECK,
        )
    if ending.load_state in {"error", "bad-setting"}:
        title = f"systemd cannot read the unit: {ending.load_error or ending.load_state}"
        remedy = user(
            "find the error in the unit; if a drop-in contains it, remove it there, otherwise"
            " rewrite the unit (the old file is kept as a copy)",
            "systemctl --user cat k3s-rootless.service",
            "k3s-rootless up --force",
        )
        return _cause(
            "unit-broken",
            title,
            "the unit or one of its drop-ins contains an error",
            remedy,
            _UNIT_CHECK,
        )
    return None


def of_log(log: StartLog, ending: Ending) -> Cause | None:
    """Return the cause of a start, without a look at the host; None if nothing names one."""
    return next(iter(candidates(log, ending)), None)


def candidates(log: StartLog, ending: Ending) -> tuple[Cause, ...]:
    """Return the possible causes of a start, the most probable first.

    It is empty if neither the lines nor the end of the start name one. The properties of systemd
    outrank the lines: a limit of the unit, or the result `oom-kill`. In the lines, a resource that
    is used up outranks its effects. A later cause counts only if those before it do not `stand`.
    """
    by_status = of_ending(ending)
    in_log = () if log.cause is None else (log.cause, *log.others)
    at_the_end = () if by_status is None else (by_status,)
    explained = limits.behind((*in_log, *at_the_end), ending)
    if explained is not None:
        return (explained,)
    if not in_log or (ending.result == "oom-kill" and _is_vague(in_log[0])):
        return at_the_end
    first, *others = in_log
    behind = [one for one in others if _is_exhausted(one) and _is_effect(first)]
    return (*behind, first, *(one for one in others if one not in behind))


def _is_vague(cause: Cause) -> bool:
    return not cause.fatal or cause.id in {"unknown", "killed"}


def behind_line(cause: Cause, line: str) -> Cause:
    """Return the cause of an effect, if a line of another log names a resource that is used up.

    K3s still waits, or exited, for the effect.
    """
    found = recognition.cause_of(Entry(cause.time, line), line)
    if found is None or not _is_exhausted(found[0]):
        return cause
    return replace(found[0], fatal=cause.fatal, waits=cause.waits)


def of_full(cause: Cause, full: Full) -> Cause:
    """Return the cause with the file system that is full, and the remedy for it."""
    kind = f" ({full.type})" if full.type else ""
    lacks = "free inodes" if full.inodes == 0 else "free space"
    text = "delete files that you do not need, or move the data directory"
    commands = [f"df -h {quote(full.point)}", f"df -i {quote(full.point)}"]
    if full.in_memory:
        text = (
            "delete files that you do not need there; it is a file system in memory, and its size"
            " is RuntimeDirectorySize= in logind.conf(5)"
        )
        commands = [f"du -ahx {quote(full.point)} | sort -h | tail"]
    shown = f"{byte_size.text(full.free)} of {byte_size.text(full.size)} are free"
    if full.inodes is not None:
        shown += f", {full.inodes} inodes are free"
    fills = [f"the largest entries: {', '.join(full.largest)}"] if full.largest else []
    return replace(
        cause,
        check="",
        title=f"the file system {full.point}{kind} has no {lacks}",
        why="K3s, its containers and rootlesskit cannot write there",
        seen=(*cause.seen, f"{full.point}: {shown}", *fills),
        remedy=user(text, *commands, RESTART),
    )


def _is_exhausted(cause: Cause) -> bool:
    entry = _ENTRIES.get(cause.id)
    return entry is not None and entry.exhausted


def _is_effect(cause: Cause) -> bool:
    entry = _ENTRIES.get(cause.id)
    return entry is None or entry.effect


def stands(cause: Cause, findings: Sequence[Finding], *, ready: bool) -> bool:
    """Return whether a cause agrees with what the host shows now.

    A fatal line keeps its meaning if the host was fixed since. A problem that K3s survived is no
    cause if its check passes now and K3s is ready.
    """
    if cause.fatal or not ready:
        return True
    relevant = _findings_of(cause, findings)
    return not relevant or bool(_failed(cause, relevant)) or not _none_failed(relevant)


def of_ending(ending: Ending) -> Cause | None:
    """Return the cause of a start from its exit status, for a start that left no line.

    None if the status names no cause.
    """
    if ending.code == _EXITED and ending.status in exits.STEPS:
        return _of_step(ending.status)
    killed = ending.code in {_KILLED, _DUMPED}
    if ending.result == "oom-kill":
        return _of_entry("killed-by-memory")
    if killed and ending.status == _SIGKILL and ending.result != "timeout":
        return _of_entry("killed")
    # After a time limit, systemd itself sent the signal.
    if killed and ending.result not in {"start-limit-hit", "timeout"}:
        return _cause(
            "signal",
            f"K3s was terminated by signal {ending.status}",
            "systemd reports no more details",
            user("check the state of the unit", _STATUS),
        )
    return _of_result(ending.result)


def _of_entry(identifier: str) -> Cause:
    entry = _ENTRIES[identifier]
    return _cause(entry.id, entry.title, entry.why, entry.remedy)


def _of_step(status: int) -> Cause:
    identifier, title = exits.identifier(status), exits.title(status)
    entry = _ENTRIES.get(identifier)
    if entry is not None:
        return _cause(identifier, title, entry.why, entry.remedy, entry.check)
    return _cause(
        identifier,
        title,
        "the unit or one of its drop-ins requests something that systemd cannot do in a user unit",
        _UNIT,
    )


def _of_result(result: str) -> Cause | None:
    # The names of systemd's results (systemd.service(5), $SERVICE_RESULT; v247 to v262).
    if result == "timeout":
        return _cause(
            "timeout",
            "starting or stopping K3s took longer than systemd allows",
            "TimeoutSec= of the unit sets the time limit",
            _UNIT,
        )
    if result == "start-limit-hit":
        return _cause(
            "start-limit",
            "K3s was started too often in a short time, and systemd refuses further starts",
            _START_LIMIT,
            _RESET,
        )
    if result == "resources":
        return _cause(
            "resources",
            "systemd could not start the program of the unit: resources are missing",
            "memory is used up, or a limit is reached",
            _UNIT,
        )
    return None


def drop_in_remedy(cause: Cause, drop_ins: Mapping[str, str]) -> Remedy | None:
    """Return the remedy if exactly one drop-in sets what systemd or K3s refuses.

    `drop_ins` holds the texts of the drop-ins that this tool did not write.
    """
    setting = _SETTINGS.get(cause.id)
    if cause.id.startswith("exit-"):
        setting = ""
    if setting is None:
        return None
    named = [path for path, text in drop_ins.items() if setting in text]
    if len(named) != 1:
        return None
    option = _OPTION.search(cause.title)
    if option is not None and option[1] not in drop_ins[named[0]]:
        return None
    return disable_drop_in(named[0], RESTART)


def owner_remedy(places: Sequence[Place], user_name: str, uid: int) -> Remedy | None:
    """Return the remedy that lets K3s write to a directory and to a file in it (`places`).

    None if the owners explain nothing. The mode of the user's own files explains nothing: K3s
    overrides it in its user namespace. K3s cannot override the mode of files of other users.
    """
    foreign = [one for one in places if one.uid != uid and not one.writable]
    if not foreign:
        return None
    paths = " ".join(quote(one.path) for one in foreign)
    if foreign[0] is not places[0]:
        return user(
            "rename the file of the other user; K3s writes a new one",
            f"mv {paths} {paths}.old",
            "k3s-rootless up",
        )
    return administrator(
        f"make {user_name} the owner of {paths}",
        f"sudo chown {quote(f'{user_name}:')} {paths}",
        "k3s-rootless up",
    )


def relocated(cause: Cause, data: str, *, usual: bool) -> Cause:
    """Return the cause with the commands of its remedy for the data directory `data`.

    If `usual`, `data` is K3s's default in the home directory, and the user's commands keep their
    `~`. In the commands of an administrator, `~` would be the home directory of root.
    """
    if cause.remedy is None or (usual and cause.remedy.fixable_by is not FixableBy.ADMINISTRATOR):
        return cause
    commands = tuple(command.replace(_DATA, quote(data)) for command in cause.remedy.commands)
    return replace(cause, remedy=replace(cause.remedy, commands=commands))


def with_host(
    cause: Cause,
    findings: Sequence[Finding],
    observed: Sequence[str],
    ending: Ending | None,
    other: Remedy | None = None,
) -> Cause:
    """Add what the host shows: the failed check behind an effect, and its remedy.

    The host also decides between causes with the same log lines. `other` is the remedy that fits
    the observations, if no check has one.
    """
    relevant = _findings_of(cause, findings)
    failed = _failed(cause, relevant)
    facts = [
        *cause.seen,
        *observed,
        *(f"{one.title}: {one.observed}: {one.reason}" for one in failed),
    ]
    if cause.id == "clock" and not failed and _EXPIRED.search(cause.line):
        expired = replace(_renamed(cause, "certificate-expired"), check="config.expiry")
        return with_host(expired, findings, observed, ending, other)
    if _lacks_delegation(cause, ending):
        facts.insert(0, _no_delegation(ending))
        cause = _not_delegated(cause, findings)
    elif failed:
        cause = _of_failed_check(cause, failed, findings)
    elif not observed and _none_failed(relevant):
        shown = "; ".join(f"{one.check}: {one.observed}" for one in relevant[:2])
        facts.append(f"`k3s-rootless check {cause.check}` reports no failure now ({shown})")
        cause = replace(cause, remedy=_remedy_if_fixed(cause))
    remedy = cause.remedy
    if not failed and other is not None:
        remedy = other
    return replace(cause, seen=tuple(facts), remedy=remedy)


def _findings_of(cause: Cause, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of the check, or group of checks, that the cause names."""
    if not cause.check:
        return []
    return [one for one in findings if matches(one.check, cause.check)]


def _none_failed(relevant: Sequence[Finding]) -> bool:
    return bool(relevant) and all(one.verdict in _NOT_FAILED for one in relevant)


def _failed(cause: Cause, relevant: Sequence[Finding]) -> list[Finding]:
    """Return the findings that explain the cause."""
    explaining = {Verdict.FAIL}
    # A warning explains the cause if the cause names exactly this check. In most groups, another
    # check can be the reason.
    if cause.check in _WARNING_GROUPS or any(one.check == cause.check for one in relevant):
        explaining.add(Verdict.WARN)
    return [one for one in relevant if one.verdict in explaining]


def _of_failed_check(cause: Cause, failed: Sequence[Finding], findings: Sequence[Finding]) -> Cause:
    """Return the cause with the failed check and its remedy."""
    first = next((one for one in failed if one.check == cause.check), failed[0])
    remedy = cause.remedy
    if first.remedy is not None and cause.id not in _KEEPS_ITS_REMEDY:
        remedy = first.remedy
    return _distinguished(replace(cause, check=first.check, remedy=remedy), first, findings)


def _no_delegation(ending: Ending | None) -> str:
    fact = "the K3s unit sets Delegate=no"
    if ending is None or not ending.drop_ins:
        return fact
    return f"{fact} (drop-ins: {', '.join(ending.drop_ins)})"


def _not_delegated(cause: Cause, findings: Sequence[Finding]) -> Cause:
    """Return the cause of a unit that requests no delegation, with the remedy of its check."""
    renamed = replace(_renamed(cause, "unit-not-delegating"), check=_UNIT_CHECK)
    for one in findings:
        if one.check == _UNIT_CHECK and one.verdict is Verdict.FAIL:
            return replace(renamed, remedy=one.remedy)
    return renamed


def _remedy_if_fixed(cause: Cause) -> Remedy | None:
    # If the check alone decides and passes now, the host was fixed since. Otherwise the unit itself
    # can be the cause.
    if cause.check.startswith(_DECISIVE):
        return _FIXED_SINCE
    return cause.remedy


def _lacks_delegation(cause: Cause, ending: Ending | None) -> bool:
    return (
        cause.id in {"cgroup-delegation", "cgroup-controller"}
        and ending is not None
        and ending.delegate is False
    )


def _distinguished(cause: Cause, finding: Finding, findings: Sequence[Finding]) -> Cause:
    if cause.id != "cgroup-controller":
        return cause
    controller = finding.check.rpartition(".")[2]
    if finding.observed in {"configured, not realized", "realized, not effective"}:
        return replace(_renamed(cause, "delegation-stale", controller), remedy=finding.remedy)
    manager = next((one.observed for one in findings if one.check == "systemd.user"), "")
    number = manager.removeprefix("systemd ").partition(".")[0].partition(" ")[0]
    if controller == "cpuset" and number.isdecimal() and int(number) < 244:
        return _renamed(cause, "systemd-old", controller)
    return cause


def _renamed(cause: Cause, identifier: str, controller: str = "") -> Cause:
    entry = _ENTRIES[identifier]
    title = entry.title.format(controller=controller)
    return replace(cause, id=identifier, title=title, why=entry.why, remedy=entry.remedy)


def _cause(identifier: str, title: str, why: str, remedy: Remedy, check: str = "") -> Cause:
    return Cause(identifier, check, title, "", None, remedy, why=why)
