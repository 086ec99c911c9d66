"""Commands that are interrupted: the state before each, and the state that each promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import UNIT
from tests.machine import HOME, TOOL

DROP_INS = UNIT.parent / f"{UNIT.name}.d"
CONFIG = DROP_INS / "50-k3s-rootless-config.conf"
ENVIRONMENT = DROP_INS / "50-k3s-rootless-environment.conf"
_LINK = UNIT.parent / "default.target.wants" / UNIT.name

# Files of other authors: a drop-in of the user, one with a name like ours, a link, another unit.
FOREIGN = f"""
set -e
mkdir -p {DROP_INS} {HOME}/dotfiles
printf '[Service]\\nNice=1\\n' >{DROP_INS}/override.conf
printf '[Service]\\nEnvironment=THEIRS=1\\n' >{DROP_INS}/70-k3s-rootless-theirs.conf
printf '[Service]\\nEnvironment=LINKED=1\\n' >{HOME}/dotfiles/linked.conf
ln -sfn {HOME}/dotfiles/linked.conf {DROP_INS}/linked.conf
printf '[Service]\\nExecStart=/bin/true\\n' >{UNIT.parent}/other.service
systemctl --user daemon-reload
"""
LOOK = f"""
cd {HOME}
find .config/systemd dotfiles -printf '%p %y %m %l\\n' | sort
find .config/systemd dotfiles -type f | sort | xargs sha256sum
systemctl --user show -p LoadState,ActiveState,UnitFileState,NeedDaemonReload,CPUWeight,MemoryMax,\
Environment {UNIT.name}
"""


@dataclass(frozen=True)
class Case:
    """Command, the script before it, and the condition that must hold once it has succeeded."""

    arguments: tuple[str, ...]
    before: str
    promise: Callable[[dict[str, str]], bool]
    alone: bool = False
    """Whether there are no other drop-ins, so that the directory of drop-ins is ours too."""


_SET, _KEPT = "K3S_ROOTLESS_MTU=1300", "NO_PROXY=.example"


def _environment(state: dict[str, str]) -> set[str]:
    return {
        one
        for one in state["Environment"].split()
        if one.startswith(("K3S_ROOTLESS_", "NO_PROXY="))
    }


def _is_set(state: dict[str, str]) -> bool:
    limits = (state["CPUWeight"], state["MemoryMax"])
    return (
        limits == ("50", str(4 * 2**30))
        and _environment(state) == {_SET, _KEPT}
        and at(CONFIG) in state
    )


def _is_installed(state: dict[str, str]) -> bool:
    return state["UnitFileState"] == "enabled" and state["LoadState"] == "loaded"


def _is_up(state: dict[str, str]) -> bool:
    return _is_installed(state) and state["ActiveState"] == "active"


def _is_in_the_environment(state: dict[str, str]) -> bool:
    return _environment(state) == {"K3S_ROOTLESS_MTU=1400", _KEPT} and state["CPUWeight"] == "20"


def _is_first_in_the_environment(state: dict[str, str]) -> bool:
    return _environment(state) == {"K3S_ROOTLESS_MTU=1400"} and state.get(
        at(ENVIRONMENT), ""
    ).startswith("f 600")


def _is_out_of_the_environment(state: dict[str, str]) -> bool:
    return not _environment(state) and at(ENVIRONMENT) not in state and state["CPUWeight"] == "20"


def _is_as_if_never_set(state: dict[str, str]) -> bool:
    # While K3s runs, the directory stays: its time shows that a drop-in was removed.
    left = {path for path in state if path.startswith(at(DROP_INS))}
    return not _environment(state) and (
        not left or (left == {at(DROP_INS)} and state["ActiveState"] == "active")
    )


def _is_unset(state: dict[str, str]) -> bool:
    return (
        state["CPUWeight"] == "[not set]"
        and at(CONFIG) not in state
        and _environment(state) == {_SET, _KEPT}
    )


def at(path: Path) -> str:
    return str(path.relative_to(HOME))


def _is_gone(state: dict[str, str]) -> bool:
    ours = {at(path) for path in (UNIT, CONFIG, ENVIRONMENT, _LINK)}
    return (
        not ours & state.keys()
        and state["ActiveState"] == "inactive"
        and state["LoadState"] != "loaded"
    )


# Save the files of an installation, so that each round can restore them quickly.
SAVE = f"""
set -e
rm -rf /tmp/saved
{TOOL} install && {TOOL} config set MemoryMax 4G && {TOOL} config set CPUWeight 20 && \
{TOOL} env set {_SET} {_KEPT}
cp -pr {UNIT.parent} /tmp/saved
"""
_ALL = (
    f"mkdir -p {_LINK.parent} && cp -dpr /tmp/saved/. {UNIT.parent}/ && systemctl --user"
    " daemon-reload"
)
_ABSENT = f"{_ALL}; rm -f {UNIT} {CONFIG} {ENVIRONMENT} {_LINK}; systemctl --user daemon-reload"
_NO_DROP_INS = f"{_ALL}; rm -r {DROP_INS}; systemctl --user daemon-reload"
_ONE_DROP_IN = (
    f"{_ALL}; rm -r {DROP_INS}; mkdir {DROP_INS}; cp -p"
    f" /tmp/saved/{DROP_INS.name}/{ENVIRONMENT.name} {DROP_INS}; "
)
_ONE_DROP_IN += "systemctl --user daemon-reload"
CASES = {
    "up": Case(("up", "--no-wait", "--restart", "--ignore", "cgroup.delegation"), _ABSENT, _is_up),
    "install": Case(("install",), _ABSENT, _is_installed),
    "config set": Case(("config", "set", "CPUWeight", "50"), _ALL, _is_set),
    "config unset": Case(("config", "unset", "CPUWeight", "MemoryMax"), _ALL, _is_unset),
    "env set": Case(("env", "set", "K3S_ROOTLESS_MTU=1400"), _ALL, _is_in_the_environment),
    "env unset": Case(
        ("env", "unset", "K3S_ROOTLESS_MTU", "NO_PROXY"), _ALL, _is_out_of_the_environment
    ),
    "env set, the first": Case(
        ("env", "set", "K3S_ROOTLESS_MTU=1400"),
        _NO_DROP_INS,
        _is_first_in_the_environment,
        alone=True,
    ),
    "env unset, the last": Case(
        ("env", "unset", "K3S_ROOTLESS_MTU", "NO_PROXY"),
        _ONE_DROP_IN,
        _is_as_if_never_set,
        alone=True,
    ),
    "uninstall": Case(("uninstall",), _ALL, _is_gone),
}
