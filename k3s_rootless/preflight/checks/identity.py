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
    passed,
    told,
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
                "missing",
                f"{name} is not on the unit's PATH",
                host.package(facts.distribution),
                found.source,
            )
        if program.nosuid:
            remedy = Remedy(
                FixableBy.ADMINISTRATOR, f"mount the file system of {program.path} without nosuid"
            )
            return failed(
                "on a nosuid mount", "its privilege has no effect there", remedy, program.path
            )
        if program.capable:
            return passed("with file capabilities", program.path)
        if program.setuid and program.owner == 0:
            return passed("setuid root", program.path)
        reason = f"{name} has neither the setuid bit of root nor the file capability"
        return failed("without privilege", reason, host.setuid(program.path), program.path)

    return judge_program


for _name in ("newuidmap", "newgidmap"):
    check(f"uidmap.{_name}", _name, FATAL, _name)(_map_program(_name))


@check.seen("uidmap.privileges", "Privileges of programs are heeded", FATAL, "process")
def uidmap_privileges(_: Facts, seen: Known[Process]) -> Judgement:
    """Check the user manager for no_new_privs, which makes setuid bits ineffective (prctl(2))."""
    if seen.value.no_new_privileges:
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            "remove NoNewPrivileges=, or what implies it, from the drop-ins of user@.service, and"
            " log in again",
            ("systemctl cat user@.service",),
        )
        return failed(
            "no_new_privs",
            "newuidmap and newgidmap get no privilege in this session",
            remedy,
            seen.source,
        )
    return passed("yes", seen.source)


@check.seen(
    "uidmap.mapping",
    "All ids can be mapped",
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
    for name, said in seen.value.mapped.items():
        if said:
            reason, remedy = _complaint(name, said, facts)
            return failed(said, reason, remedy, name)
    missing = [name for name, said in seen.value.mapped.items() if said is None]
    if missing and seen.value.user and confined_itself(facts):
        return told(
            "not tried", "AppArmor refused this program a namespace to map ids into", seen.source
        )
    if missing:
        return unknown(
            f"{' and '.join(missing)} could not be tried: see userns.create, uidmap and subid"
        )
    return passed("mapped", " and ".join(seen.value.mapped))


def _complaint(name: str, said: str, facts: Facts) -> tuple[str, Remedy]:
    found: Observed[MapProgram] = getattr(facts, name)
    if "not allowed" in said or "owner" in said.lower():
        kind = "subuid" if name == "newuidmap" else "subgid"
        return f"/etc/{kind} does not give {facts.user} all of these ids", host.subids(facts.user)
    if "Invalid argument" in said:
        text = f"delete the rows of {facts.user} that overlap in /etc/subuid and /etc/subgid"
        remedy = Remedy(FixableBy.ADMINISTRATOR, text)
        return "the kernel maps no id twice, and none that is not there", remedy
    path = f"/usr/bin/{name}"
    if isinstance(found, Known) and found.value.path:
        path = found.value.path
    reason = (
        f"{name} was refused by the kernel: it lacks privileges, or we are in a container without"
        " them"
    )
    return reason, host.setuid(path)


@check.seen("uidmap.nested", "Ids of this host are all there", FATAL, "process", "subuid")
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
        return told(
            observed,
            "this is a user namespace (a container), and has the ids of the user",
            "/proc/self/uid_map",
        )
    remedy = Remedy(
        FixableBy.ADMINISTRATOR,
        "give the container more ids than the ranges in /etc/subuid name (LXC: lxc.idmap; LXD,"
        " Incus: security.idmap.size)",
    )
    reason = "this is a user namespace (a container), and the ids of /etc/subuid do not exist in it"
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
                f"no {kind} range for {facts.user}",
                host.subids(facts.user),
                found.source,
            )
        if total < _PAUSE_ID:
            reason = (
                f"nothing can run as {_PAUSE_ID}, as the pause image of each pod does: K3s starts,"
                " and no pod"
            )
            return failed(observed, reason, host.subids(facts.user), found.source)
        if _overlap(found.value):
            reason = (
                "ranges overlap, and the kernel maps no id twice: newuidmap fails (rootlesskit"
                " #229)"
            )
            remedy = Remedy(
                FixableBy.ADMINISTRATOR,
                f"delete the row of {facts.user} that repeats ids in /etc/{kind}",
            )
            return failed(observed, reason, remedy, found.source)
        return passed(observed, found.source)

    return judge_ranges


def _overlap(ranges: tuple[SubidRange, ...]) -> bool:
    ordered = sorted((one.start, one.start + one.count) for one in ranges)
    return any(start < end for (_, end), (start, _) in pairwise(ordered))


for _name in ("subuid", "subgid"):
    check(f"subid.{_name}", f"Subordinate ids in {_name}", FATAL, _name)(_subids(_name))


@check.seen("subid.files", "/etc/subuid and /etc/subgid are files", FATAL, "subid_files")
def subid_files(_: Facts, seen: Known[SubidFiles]) -> Judgement:
    """Check that /etc/subuid and /etc/subgid are not links.

    newuidmap and newgidmap open them with O_NOFOLLOW (rootlesskit #259).
    """
    links = seen.value.links
    if not links:
        return passed("no links", "/etc")
    commands = tuple(f"sudo sh -c 'cp {link} {link}.new && mv {link}.new {link}'" for link in links)
    remedy = Remedy(
        FixableBy.ADMINISTRATOR,
        "replace the link by a file of the same content",
        commands,
        tuple(map(host_change.PlainFile, links)),
    )
    return failed(f"{', '.join(links)}: a link", "newuidmap and newgidmap follow no links", remedy)


@check.seen(
    "subid.overlap", "Nobody else has these ids", DEGRADED, "subid_files", "subuid", "subgid"
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
                reason = "whoever has these ids as well can reach the files of containers"
                shared = f"{one.start}:{one.count} with {', '.join(owners[:3])}"
                return warned(shared, reason, host.subids(facts.user), seen.source)
    return passed("nobody", seen.source)


def _other_owners(kind: str, one: SubidRange, files: SubidFiles, own: int) -> list[str]:
    """Return the rows and users that own an id of this range, except for the uid `own`."""
    rows = [
        f"{owner} in /etc/{kind}"
        for at, owner, other in files.others
        if at == kind and _meet(one, other)
    ]
    users = [
        f"user {name} (uid {uid})"
        for name, uid in files.users
        if one.start <= uid < one.start + one.count and uid != own
    ]
    return rows + users


def _meet(one: SubidRange, other: SubidRange) -> bool:
    return one.start < other.start + other.count and other.start < one.start + one.count
