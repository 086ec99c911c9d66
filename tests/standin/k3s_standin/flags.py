"""Command line of `k3s server`, preceded by the config file.

Source: K3s pkg/configfilearg, pkg/cli/cmds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import goparse
from .journal import Fatal, Journal
from .known_flags import SHORT, SWITCHES, VALUES
from .release import Release

DEFAULT_CONFIG = "/etc/rancher/k3s/config.yaml"

# The variable of each flag, used if neither the command line nor a config file has the flag.
_ENVIRONMENT = {
    "data-dir": "K3S_DATA_DIR",
    "write-kubeconfig": "K3S_KUBECONFIG_OUTPUT",
    "write-kubeconfig-mode": "K3S_KUBECONFIG_MODE",
    "node-name": "K3S_NODE_NAME",
    "selinux": "K3S_SELINUX",
    "token": "K3S_TOKEN",
    "token-file": "K3S_TOKEN_FILE",
    "cluster-init": "K3S_CLUSTER_INIT",
}


@dataclass
class Flags:
    """Parsed flags of `k3s server`: all values of each flag, in order."""

    given: dict[str, list[str]] = field(default_factory=dict)

    def switch(self, name: str) -> bool:
        """Return whether a boolean flag is on; the last value wins."""
        return goparse.parse_bool(self.given[name][-1]) if name in self.given else False

    def text(self, name: str, default: str = "") -> str:
        """Return the last value of a flag."""
        return self.given[name][-1] if name in self.given else default

    def values(self, name: str) -> list[str]:
        """Return the values of a slice flag; each can hold several, separated by commas."""
        return [part for value in self.given.get(name, []) for part in value.split(",")]

    @property
    def rootless(self) -> bool:
        """Return whether K3s is rootless: Rootless() is called only when an agent runs too.

        Source: K3s pkg/cli/server/server.go.
        """
        return self.switch("rootless") and not self.switch("disable-agent")

    @property
    def https_port(self) -> int:
        """Port of the API."""
        return int(self.text("https-listen-port", "6443"))

    @property
    def inner_port(self) -> int:
        """Port of the API server inside K3s's supervisor (K3s pkg/daemons/control/server.go)."""
        return self.https_port + 1

    @property
    def servicelb(self) -> bool:
        """Return whether servicelb runs."""
        return "servicelb" not in self.values("disable")

    @property
    def data_dir(self) -> Path:
        """Return --data-dir with `~` and $HOME expanded (K3s pkg/datadir)."""
        home = os.environ.get("HOME", "")
        text = self.text("data-dir") or "~/.rancher/k3s"
        for name in ("$HOME", "${HOME}", "~"):
            text = text.replace(name, home)
        return Path(os.path.abspath(text))  # noqa: PTH100 (filepath.Abs works on the text)


def parse(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    journal: Journal,
    release: Release | None = None,
) -> Flags:
    """Return the flags of a command line, with those of the config file and environment.

    The flags of the config file precede those of the command line. The environment is used last.
    """
    release = release or Release("v1.36.3+k3s1")
    path = config_path(arguments, environment)
    named = path != Path(DEFAULT_CONFIG) and not release.ignores_missing_config
    from_files = _known(read_config(path, named=named), journal) if path != Path() else []
    flags = Flags(_parse_line([*from_files, *arguments]))
    for name, key in _ENVIRONMENT.items():
        unread = name == "data-dir" and not release.reads_data_dir
        if environment.get(key) and name not in flags.given and not unread:
            flags.given[name] = [environment[key]]
    return flags


def from_line(arguments: Sequence[str]) -> Flags:
    """Return the flags of a command line without a config file."""
    return Flags(_parse_line(arguments))


def config_path(arguments: Sequence[str], environment: Mapping[str, str]) -> Path:
    """Return the path of the config file.

    This is K3S_CONFIG_FILE, else the first --config, else the file of the host, also in rootless
    mode.
    """
    if environment.get("K3S_CONFIG_FILE"):
        return Path(environment["K3S_CONFIG_FILE"])
    for number, argument in enumerate(arguments):
        if argument in {"--config", "-c"}:
            return Path("".join(arguments[number + 1 : number + 2]))
        if argument.startswith(("--config=", "-c=")):
            return Path(argument.partition("=")[2])
    return Path(DEFAULT_CONFIG)


def read_config(path: Path, *, named: bool = False) -> dict[str, object]:
    """Read a config file and its `.d` directory.

    A file that cannot be read is fatal, and so is a missing file that is `named`.
    """
    merged: dict[str, object] = {}
    drop_ins = _drop_ins(path)
    for file in (path, *drop_ins):
        try:
            data = _parsed(file.read_text())
        except FileNotFoundError:
            if named and not drop_ins:
                raise Fatal(f"open {file}: no such file or directory") from None
            continue
        except OSError as error:
            raise Fatal(
                f"open {file}: {(error.strerror or 'input/output error').lower()}"
            ) from None
        except UnicodeDecodeError as error:
            raise Fatal(f"yaml: {error}") from None
        if data is not None and not isinstance(data, dict):
            raise Fatal(
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str into yaml.MapSlice"
            )
        for key, value in (data or {}).items():
            _merge(merged, str(key), value)
    return merged


def _parsed(text: str) -> object:
    # Most starts read no file, and importing the parser takes as long as the rest of `--version`.
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Fatal(f"yaml: {str(error).splitlines()[0]}") from None


def _merge(merged: dict[str, object], key: str, value: object) -> None:
    name = key.removesuffix("+")
    before = merged.get(name)
    if name == key or name not in merged:
        merged[name] = value
        return
    lists = [
        one if isinstance(one, list) else [] if one is None else [one] for one in (before, value)
    ]
    merged[name] = [*lists[0], *lists[1]]


def _drop_ins(path: Path) -> list[Path]:
    directory = path.with_name(path.name + ".d") if path.name else path
    try:
        return sorted(
            entry for entry in directory.iterdir() if entry.name.lower().endswith((".yaml", ".yml"))
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Fatal(
            f"open {directory}: {(error.strerror or 'input/output error').lower()}"
        ) from None


def _known(config: Mapping[str, object], journal: Journal) -> list[str]:
    """Return the flags of a config file that K3s knows, and warn of the others."""
    found = []
    for name, value in config.items():
        dashes = "-" if len(name) == 1 else "--"
        if SHORT.get(name, name) not in SWITCHES | VALUES:
            journal.warning(f"Unknown flag {dashes}{name} found in config.yaml, skipping\n")
            continue
        values = value if isinstance(value, list) else [value]
        found += [f"{dashes}{name}={_printed(item)}" for item in values]
    return found


def _printed(item: object) -> str:
    if item is None:
        return ""
    return str(item).lower() if isinstance(item, bool) else str(item).strip()


def _parse_line(arguments: Sequence[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    forms: dict[str, set[str]] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--" or not argument.startswith("-") or argument == "-":
            break
        form, equals, value = argument.lstrip("-").partition("=")
        name = SHORT.get(form, form)
        forms.setdefault(name, set()).add(form)
        if len(forms[name]) > 1:
            raise Fatal(
                f"Cannot use two forms of the same flag: {' '.join(sorted(forms[name], key=len))}"
            )
        given.setdefault(name, []).append(_value_of(name, value if equals else None, rest))
    return given


def _value_of(name: str, value: str | None, rest: list[str]) -> str:
    if name in SWITCHES:
        if value is None:
            return "true"
        try:
            goparse.parse_bool(value)
        except goparse.GoError:
            raise Fatal(
                f"invalid boolean value {goparse.quote(value)} for -{name}: parse error"
            ) from None
        return value
    if name not in VALUES:
        raise Fatal(f"flag provided but not defined: -{name}")
    if value is None:
        if not rest:
            raise Fatal(f"flag needs an argument: -{name}")
        value = rest.pop(0)
    if name == "https-listen-port":
        _check_port(name, value)
    return value


def _check_port(name: str, value: str) -> None:
    try:
        goparse.parse_int(value)
    except goparse.GoError:
        raise Fatal(f"invalid value {goparse.quote(value)} for flag -{name}: parse error") from None
