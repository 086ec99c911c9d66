"""The state of K3s's controller for NetworkPolicies, from what was observed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from k3s_rootless.observation import Known, Observed, Unknown

CHAIN = "KUBE-ROUTER-FORWARD"
"""The chain of the controller, to which the chain FORWARD of iptables leads."""
_SKIPPING = "Skipping network policy controller start, "
_MESSAGE = re.compile(r'(?:.* msg=)?"?(?P<message>.+?)"?$')


class State(Enum):
    """The state of the controller."""

    RUNNING = "running"
    DISABLED = "disabled"
    NOT_RUNNING = "not running"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Observations:
    """What the namespaces of K3s and its log show.

    `disabled` is the setting that disables the controller, empty if there is none. `leads` is
    whether FORWARD leads to the chain of the controller. `sets` is the number of K3s's own ipsets.
    `logged` is the last line of this start about the controller, empty if there is none.
    """

    disabled: str
    leads: Observed[bool]
    sets: Observed[int]
    logged: Observed[str]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state, and why."""

    state: State
    reason: str


def judge(seen: Observations) -> Judgement:
    """Return the state of the controller; its rules count more than the log."""
    if seen.disabled:
        return Judgement(State.DISABLED, f"K3s runs with {seen.disabled}")
    if isinstance(seen.leads, Known) and seen.leads.value:
        return Judgement(State.RUNNING, f"the chain FORWARD of iptables leads to {CHAIN}")
    skipped = _skipped(seen.logged)
    if skipped:
        return Judgement(State.NOT_RUNNING, skipped)
    if isinstance(seen.leads, Unknown):
        return Judgement(State.UNKNOWN, seen.leads.reason)
    return Judgement(State.NOT_RUNNING, _without_chain(seen))


def _without_chain(seen: Observations) -> str:
    if isinstance(seen.sets, Unknown):
        return seen.sets.reason
    without = f"the chain FORWARD of iptables does not lead to {CHAIN}"
    if isinstance(seen.logged, Unknown):
        return f"{without}; {seen.logged.reason}"
    if seen.logged.value:
        return f"{without}; the last line of K3s about it is: {_message(seen.logged.value)}"
    return (
        f"{without}; K3s starts its controller when the node is ready, and the log of this start"
        " has no line about it"
    )


def _skipped(logged: Observed[str]) -> str:
    """Return why K3s did not start the controller; empty if its log has no reason."""
    if isinstance(logged, Unknown):
        return ""
    message = _message(logged.value)
    return message.removeprefix(_SKIPPING) if message.startswith(_SKIPPING) else ""


def _message(line: str) -> str:
    """Return the message of a line of K3s, without time and level."""
    found = _MESSAGE.match(line)
    return found["message"] if found else line
