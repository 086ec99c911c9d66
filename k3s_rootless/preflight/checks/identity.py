"""Checks of the ids that K3s can use: newuidmap, newgidmap and subordinate ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from k3s_rootless import host_change
from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.checks.namespaces import confined_itself
from k3s_rootless.preflight.facts import Facts, MapProgram, SubidFiles, SubidRange
from k3s_rootless.preflight.records import Process, Trial
from k3s_rootless.preflight.remedies import host

check = Checklist()
_PAUSE_ID = 65535
"""The user of Kubernetes' pause image (its build/pause/Dockerfile).

Id 0 is mapped to the user's own id, so the image also needs this number of subordinate ids.
"""


def _map_program(name: str) -> Callable[[Facts], Judgement]:
    def judge_program(facts: Facts) -> Judgement:
        """Check that the program is on the unit's PATH, and that it is privileged.

        K3s bundles neither newuidmap nor newgidmap. Each needs root's privilege to map more than
        one id.
        """
        found: Observed[MapProgram] = getattr(facts, name)
        if isinstance(found, Unknown):
            return unknown(found.reason)
        program = found.value
        if program.path is None:
            return failed(
                "not found",
                f"{name} is not in the PATH of the unit",
                host.package(facts.distribution),
                found.source,
            )
        if program.nosuid:
            remedy = Remedy(
                FixableBy.ADMINISTRATOR, f"mount the file system of {program.path} without nosuid"
            )
            reason = "setuid bits and file capabilities have no effect on such a mount"
            return failed("on a nosuid mount", reason, remedy, program.path)
        if program.capable:
            return passed("with file capabilities", program.path)
        if program.setuid and program.owner == 0:
            return passed("setuid root", program.path)
        reason = f"{name} is not setuid root and has no file capability"
        return failed("not privileged", reason, host.setuid(program.path), program.path)

    return judge_program


for _name in ("newuidmap", "newgidmap"):
    check(f"uidmap.{_name}", _name, FATAL, _name)(_map_program(_name))


@check.seen("uidmap.privileges", "Privileges of setuid programs", FATAL, "process")
def uidmap_privileges(_: Facts, seen: Known[Process]) -> Judgement:
    """Check the user manager for no_new_privs, which makes setuid bits ineffective (prctl(2))."""
    if seen.value.no_new_privileges:
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            "remove NoNewPrivileges=, and settings that imply it, from the drop-ins of"
            " user@.service; then log in again",
            ("systemctl cat user@.service",),
        )
        return failed(
            "no_new_privs is set",
            "newuidmap and newgidmap have no privileges in this session",
            remedy,
            seen.source,
        )
    return passed("effective", seen.source)


@check.seen(
    "uidmap.mapping",
    "Mapping of subordinate ids",
    FATAL,
    "trial",
    "newuidmap",
    "newgidmap",
    "subuid",
    "subgid",
    "confinement",
)
def uidmap_mapping(facts: Facts, seen: Known[Trial]) -> Judgement:
    """Check that newuidmap and newgidmap can map all ids of the user.

    The trial runs both programs on a user namespace, in the same way as rootlesskit.
    """
    for name, message in seen.value.mapped.items():
        if message:
            reason, remedy = _complaint(name, message, facts)
            return failed(message, reason, remedy, name)
    missing = [name for name, message in seen.value.mapped.items() if message is None]
    if missing and seen.value.user and confined_itself(facts):
        reason = "AppArmor does not allow k3s-rootless to create a user namespace"
        return info("not tried", reason, seen.source)
    if missing:
        names = " and ".join(missing)
        return unknown(f"{names} could not be tried; see userns.create, uidmap and subid")
    return passed("works", " and ".join(seen.value.mapped))


def _complaint(name: str, message: str, facts: Facts) -> tuple[str, Remedy]:
    found: Observed[MapProgram] = getattr(facts, name)
    if "not allowed" in message or "owner" in message.lower():
        kind = "subuid" if name == "newuidmap" else "subgid"
        return f"/etc/{kind} does not assign all of these ids to {facts.user}", host.subids(
            facts.user
        )
    if "Invalid argument" in message:
        text = f"delete the overlapping rows of {facts.user} in /etc/subuid and /etc/subgid"
        remedy = Remedy(FixableBy.ADMINISTRATOR, text)
        return "the kernel rejects ids that are mapped twice or that do not exist", remedy
    path = f"/usr/bin/{name}"
    if isinstance(found, Known) and found.value.path:
        path = found.value.path
    reason = (
        f"the kernel refused {name}: it has no privileges, or this is a container without"
        " privileges"
    )
    return reason, host.setuid(path)


@check.seen("uidmap.nested", "Available ids", FATAL, "process", "subuid")
def uidmap_nested(facts: Facts, seen: Known[Process]) -> Judgement:
    """Check that the subordinate ids of the user exist here.

    In a user namespace (a container), only the ids that it maps can be mapped again
    (user_namespaces(7)).
    """
    inside = seen.value.id_map
    if inside == ((0, 0, 2**32 - 1),):
        return passed("all", "/proc/self/uid_map")
    observed = ", ".join(f"{first}:{count}" for first, _, count in inside) or "none"
    ranges = facts.subuid.value if isinstance(facts.subuid, Known) else ()
    if all(_mapped_in(inside, one) for one in ranges):
        return info(
            observed,
            "this is a container (user namespace) that has the subordinate ids of the user",
            "/proc/self/uid_map",
        )
    remedy = Remedy(
        FixableBy.ADMINISTRATOR,
        "give the container more ids, so that it has those in /etc/subuid (LXC: lxc.idmap;"
        " LXD, Incus: security.idmap.size)",
    )
    reason = "this is a container (user namespace) without the ids in /etc/subuid"
    return failed(observed, reason, remedy, "/proc/self/uid_map")


def _mapped_in(mapping: Iterable[tuple[int, int, int]], one: SubidRange) -> bool:
    end = one.start + one.count
    return any(first <= one.start and end <= first + count for first, _, count in mapping)


def _subids(kind: str) -> Callable[[Facts], Judgement]:
    def judge_ranges(facts: Facts) -> Judgement:
        """Check the subordinate ids of the user.

        K3s maps all ranges of the user, one after another.
        """
        found: Observed[tuple[SubidRange, ...]] = getattr(facts, kind)
        if isinstance(found, Unknown):
            return unknown(found.reason)
        total = sum(one.count for one in found.value)
        observed = ", ".join(f"{one.start}:{one.count}" for one in found.value) or "none"
        if total == 0:
            return failed(
                observed,
                f"{facts.user} has no {kind} range",
                host.subids(facts.user),
                found.source,
            )
        if total < _PAUSE_ID:
            reason = (
                f"pods cannot start: the pause image of each pod runs as id {_PAUSE_ID}, which"
                " cannot be mapped"
            )
            return failed(observed, reason, host.subids(facts.user), found.source)
        if _overlap(found.value):
            reason = (
                f"the ranges overlap, and the kernel maps no id twice: new{kind[3:]}map fails"
                " (rootlesskit #229)"
            )
            remedy = Remedy(
                FixableBy.ADMINISTRATOR,
                f"delete the overlapping row of {facts.user} in /etc/{kind}",
            )
            return failed(observed, reason, remedy, found.source)
        return passed(observed, found.source)

    return judge_ranges


def _overlap(ranges: tuple[SubidRange, ...]) -> bool:
    ordered = sorted((one.start, one.start + one.count) for one in ranges)
    return any(start < end for (_, end), (start, _) in pairwise(ordered))


for _name, _kind in (("subuid", "user"), ("subgid", "group")):
    check(f"subid.{_name}", f"Subordinate {_kind} ids", FATAL, _name)(_subids(_name))


@check.seen("subid.files", "Type of /etc/subuid and /etc/subgid", FATAL, "subid_files")
def subid_files(_: Facts, seen: Known[SubidFiles]) -> Judgement:
    """Check that /etc/subuid and /etc/subgid are not links.

    newuidmap and newgidmap open them with O_NOFOLLOW (rootlesskit #259).
    """
    links = seen.value.links
    if not links:
        return passed("regular files", "/etc")
    commands = tuple(f"sudo sh -c 'cp {link} {link}.new && mv {link}.new {link}'" for link in links)
    remedy = Remedy(
        FixableBy.ADMINISTRATOR,
        "replace the link with a copy of the file",
        commands,
        tuple(map(host_change.PlainFile, links)),
    )
    observed = f"{links[0]} is a link" if len(links) == 1 else f"{' and '.join(links)} are links"
    return failed(observed, "newuidmap and newgidmap do not follow symbolic links", remedy)


@check.seen(
    "subid.overlap",
    "Owners of the subordinate ids",
    DEGRADED,
    "subid_files",
    "subuid",
    "subgid",
)
def subid_overlap(facts: Facts, seen: Known[SubidFiles]) -> Judgement:
    """Check that no other user has the same subordinate ids.

    Two owners of one id could write each other's files. K3s runs in spite of it.
    """
    for kind, found in (("subuid", facts.subuid), ("subgid", facts.subgid)):
        if isinstance(found, Unknown):
            continue
        for one in found.value:
            owners = _other_owners(kind, one, seen.value, facts.uid)
            if owners:
                reason = "another owner of these ids can access the files of containers"
                observed = f"{one.start}:{one.count} is shared with {', '.join(owners[:3])}"
                return warned(observed, reason, host.subids(facts.user), seen.source)
    return passed(f"only {facts.user}", seen.source)


def _other_owners(kind: str, one: SubidRange, files: SubidFiles, own: int) -> list[str]:
    """Return the rows and users that own an id of this range, except for the uid `own`."""
    rows = [
        f"{owner} in /etc/{kind}"
        for at, owner, other in files.others
        if at == kind and _intersect(one, other)
    ]
    users = [
        f"user {name} (uid {uid})"
        for name, uid in files.users
        if one.start <= uid < one.start + one.count and uid != own
    ]
    return rows + users


def _intersect(one: SubidRange, other: SubidRange) -> bool:
    return one.start < other.start + other.count and other.start < one.start + one.count
