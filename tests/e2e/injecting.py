"""Injection of a fault: the finding of `check`, the effect on K3s, the fix, and the state after."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.e2e.conftest import UNIT, Tool
from tests.e2e.fault import Dies, Fault, Lacks, Refused, Unseen, Waits
from tests.e2e.fixing import follow
from tests.e2e.others import Others
from tests.machine import HOME

SCRIPT, BY_USER, BY_HAND = "script", "user's commands", "by hand"
_PATIENCE = 120
_SHOW = f"systemctl --user show -P SubState -P Result {UNIT.name} | tr '\\n' ' '"
_ENDED = f'case "$({_SHOW})" in *auto-restart*|*failed*|exit-code*|signal*) echo died; exit;; esac'
_STATE = HOME / ".rancher/k3s/rootless"
_EVENTS = HOME / ".rancher/k3s/standin-events.jsonl"
# The invocation id selects the events of this start: the file also has those of earlier starts.
_READY = (
    f'grep -s node-ready {_EVENTS} | grep -q "$(systemctl --user show -P InvocationID {UNIT.name})"'
    " && { echo ready; exit; }"
)


@dataclass
class Injected:
    """Result of a fault.

    `named` is the finding of its check, and `also` has the ids of other checks with a problem.
    `shown` is the effect on K3s, in its own words if it printed any. `mended` is the kind of fix.
    `passes` and `starts` show whether the check passes and K3s is ready afterwards, and `back`
    whether the fault is there again after the script has undone its changes. `last_words` is the
    output of an `up` that failed at the end.
    """

    named: dict[str, Any]
    code: int
    also: list[str]
    shown: str = ""
    mended: str = ""
    passes: bool = False
    starts: bool | None = None
    back: bool | None = None
    last_words: str = ""
    peers: dict[str, list[str]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the result for a JSON file."""
        return asdict(self)


def findings(tool: Tool, *ids: str) -> dict[str, dict[str, Any]]:
    """Run `check`, and return its findings by their ids."""
    return {one["check"]: one for one in tool.json("check", *ids)["checks"]}


def bad(finding: dict[str, Any]) -> bool:
    """Return whether a finding requires an action."""
    return finding["verdict"] not in {"pass", "info"}


def inject(
    tool: Tool,
    fault: Fault,
    known: frozenset[str] = frozenset(),
    *,
    whole: bool = True,
    others: Others | None = None,
) -> Injected:
    """Inject a fault into a host with no other faults than `known`, follow it, and remove it.

    Without `whole`, K3s is not started again at the end.
    """
    stop(tool)
    fault.before(tool)
    try:
        fault.breaks(tool)
        done = tool("check", "--json", *tool.ignore)
        found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
        also = sorted(
            name for name, one in found.items() if bad(one) and name not in {*known, fault.check}
        )
        injected = Injected(found[fault.check], done.returncode, also)
        injected.peers = others.found() if others else {}
        injected.shown = shown(tool, fault)
        _mend(tool, fault, injected)
        if whole and not isinstance(fault.shows, Unseen):
            _start(tool, fault, injected)
            stop(tool)
        _take_back(tool, fault, injected)
    finally:
        stop(tool)
        fault.clean(tool)
    return injected


def wrong(fault: Fault, one: dict[str, Any]) -> list[str]:
    """Return the unexpected results in the document of an injection; empty if there are none."""
    named = one["named"]
    fixable_by = (named["remedy"] or {}).get("fixable_by")
    return [
        *(
            ["not named"]
            if (named["verdict"], fixable_by) != (fault.verdict, fault.fixable_by)
            else []
        ),
        *(["not mended"] if not one["passes"] else []),
        *(["K3s is not ready afterwards"] if one["starts"] is False else []),
        *(["not taken back"] if one["back"] is False else []),
    ]


def stop(tool: Tool) -> None:
    """Stop K3s, and reset its failure."""
    # If the child of rootlesskit ended before it was ready, rootlesskit waits forever and ignores
    # SIGTERM. Its remains are not part of the fault.
    killed = (
        f"systemctl --user kill --signal=KILL {UNIT.name}; systemctl --user stop {UNIT.name}; rm"
        f" -rf {_STATE}"
    )
    script = (
        f"timeout 20 systemctl --user stop {UNIT.name} || {{ {killed}; }}; systemctl --user"
        f" reset-failed {UNIT.name}"
    )
    tool.machine.user("sh", "-c", script)


def shown(tool: Tool, fault: Fault) -> str:
    """Start K3s without `check`, and return the effect; assert that it is the expected one."""
    match fault.shows:
        case Unseen(reason):
            return f"not shown: {reason}"
        case Refused(words):
            done = tool.machine.user("systemctl", "--user", "start", UNIT.name)
            assert done.returncode != 0, fault.id
            assert words in done.stderr, done.stderr
            return f"systemd: {done.stderr.strip()}"
        case Dies(words):
            came, since = _started(tool)
            said = _said(tool, since, "level=fatal", "level=error")
            assert "died" == came, (fault.id, came, said)
            assert words in said, (fault.id, said)
            return f"dies: {said}"
        case Waits(words):
            came, since = _started(tool, words)
            assert "said" == came, (fault.id, came)
            return f"goes on without: {_said(tool, since, words)}"
        case Lacks(command, means):
            assert "ready" == _started(tool)[0], fault.id
            assert not _inside(tool, command), fault.id
            return means
    raise AssertionError(fault.shows)


def _started(tool: Tool, words: str = "") -> tuple[str, str]:
    # The first effect, and the time after which its messages are searched.
    said = (
        "journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$(systemctl --user show -P InvocationID"
        f" {UNIT.name})"
    )
    heard = f"{said} | grep -qF {json.dumps(words)} && {{ echo said; exit; }};" if words else ""
    script = (
        f"date +@%s.%N; systemctl --user start {UNIT.name}; while :; do {heard} {_ENDED}; {_READY};"
        " sleep 0.1; done"
    )
    if words:
        script = script.replace(f"{_READY};", "")
    told = tool.machine.user(
        "timeout", str(_PATIENCE), "sh", "-c", script, timeout=_PATIENCE + 30
    ).stdout.split()
    return (told[1] if len(told) > 1 else "nothing"), told[0]


def _said(tool: Tool, since: str, *words: str) -> str:
    # Read as root, and since the first start: the unit may already be in its next start. The line
    # about the child in rootlesskit's parent only follows from the message of the child. Lines of a
    # process that ended immediately have no unit. journald may be late, and the next start logs the
    # same.
    read = (
        f"journalctl -q -o cat --since={since} _SYSTEMD_USER_UNIT={UNIT.name} +"
        " SYSLOG_IDENTIFIER=k3s"
    )
    found = (
        f"{read} | grep -F {json.dumps(one)} | grep -vF 'child died: parsing' | head -n 1"
        for one in words
    )
    looks = "; ".join(f'[ -n "$said" ] || said=$({one})' for one in found)
    script = (
        f'for turn in $(seq 70); do said=; {looks}; [ -z "$said" ] || break; sleep 0.15; done;'
        ' printf %s "$said"'
    )
    return tool.machine.root("sh", "-c", script).stdout.strip()


def _inside(tool: Tool, command: str) -> bool:
    enter = f"nsenter -U --preserve-credentials -m -n -t $(cat {_STATE}/child_pid)"
    return 0 == tool.machine.user("sh", "-c", f"{enter} {command}").returncode


def _mend(tool: Tool, fault: Fault, injected: Injected) -> None:
    stop(tool)
    remedy = injected.named["remedy"]
    if fault.by_hand:
        injected.mended = f"{BY_HAND}: {fault.by_hand}"
        fault.hand(tool)
    elif fault.fixable_by == "administrator":
        injected.mended = SCRIPT
        script = tool("check", "--admin-script", fault.check)
        assert 0 == script.returncode, script.stderr
        tool.machine.root("tee", "/root/script", stdin=script.stdout).check_returncode()
        done = tool.machine.root("sh", "/root/script")
        assert 0 == done.returncode, (fault.id, done.stdout, done.stderr)
        if fault.check.startswith("cgroup."):
            follow(
                tool, {"fixable_by": "user", "commands": ["ssh localhost true", "k3s-rootless up"]}
            )
    else:
        injected.mended = BY_USER
        follow(tool, remedy)
    injected.passes = not bad(findings(tool, fault.check)[fault.check])


def _start(tool: Tool, fault: Fault, injected: Injected) -> None:
    done = tool.up("--json", "--timeout", f"{_PATIENCE}s")
    injected.starts = 0 == done.returncode and (
        not isinstance(fault.shows, Lacks) or _inside(tool, fault.shows.command)
    )
    if not injected.starts:
        injected.last_words = f"exit {done.returncode}: {done.stdout[-1500:]}"


def _take_back(tool: Tool, fault: Fault, injected: Injected) -> None:
    # A realized controller stays enabled until the next boot.
    if injected.mended != SCRIPT or fault.check.startswith("cgroup."):
        return
    undone = tool.machine.root("sh", "/root/script", "--undo")
    assert 0 == undone.returncode, (fault.id, undone.stdout, undone.stderr)
    injected.back = bad(findings(tool, fault.check)[fault.check])
