"""The command line of `k3s server`, and the config file that is put in front of it (K3s pkg/configfilearg, pkg/cli/cmds)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from . import goparse
from .journal import Fatal, Journal
from .known_flags import SHORT, SWITCHES, VALUES

DEFAULT_CONFIG = "/etc/rancher/k3s/config.yaml"

# each flag's variable; the command line beats it, and it beats nothing else here
_ENVIRONMENT = {
    "data-dir": "K3S_DATA_DIR",
    "write-kubeconfig": "K3S_KUBECONFIG_OUTPUT",
    "write-kubeconfig-mode": "K3S_KUBECONFIG_MODE",
    "node-name": "K3S_NODE_NAME",
}


@dataclass
class Flags:
    """Parsed flags of `k3s server`: every value given for each flag, in order."""

    given: dict[str, list[str]] = field(default_factory=dict)

    def switch(self, name: str) -> bool:
        """Whether a boolean flag is on; the last one counts."""
        return goparse.parse_bool(self.given[name][-1]) if name in self.given else False

    def text(self, name: str, default: str = "") -> str:
        """Return a flag's last value."""
        return self.given[name][-1] if name in self.given else default

    def words(self, name: str) -> list[str]:
        """Return a slice flag's values; each may hold several, separated by commas."""
        return [word for value in self.given.get(name, []) for word in value.split(",")]

    @property
    def rootless(self) -> bool:
        """Rootless() is called only when an agent runs too (K3s pkg/cli/server/server.go)."""
        return self.switch("rootless") and not self.switch("disable-agent")

    @property
    def https_port(self) -> int:
        """The port of the API."""
        return int(self.text("https-listen-port", "6443"))

    @property
    def servicelb(self) -> bool:
        """Whether servicelb runs."""
        return "servicelb" not in self.words("disable")

    @property
    def data_dir(self) -> Path:
        """Return --data-dir with `~` and $HOME expanded (K3s pkg/datadir)."""
        home = os.environ.get("HOME", "")
        text = self.text("data-dir") or "~/.rancher/k3s"
        for name in ("${HOME}", "$HOME"):
            text = text.replace(name, home)
        return Path(home + text[1:] if text == "~" or text.startswith("~/") else text).absolute()


def parse(arguments: Sequence[str], environment: Mapping[str, str], journal: Journal) -> Flags:
    """Return the flags of a command line, the config file's and the environment's behind them."""
    own = _parse_line(arguments)
    flags = Flags({name: [environment[key]] for name, key in _ENVIRONMENT.items() if environment.get(key)})
    for name, values in _from_config(config_path(own, environment), journal).items():
        flags.given[name] = values
    for name, values in own.items():
        # scalars: the command line wins; slices: both count, as the file's go in front
        flags.given[name] = [*flags.given.get(name, []), *values] if name in {"disable", "tls-san"} else values
    return flags


def config_path(own: Mapping[str, list[str]], environment: Mapping[str, str]) -> Path:
    """Return the config file that counts: K3S_CONFIG_FILE, else --config, else the host's, in rootless mode too."""
    return Path(environment.get("K3S_CONFIG_FILE") or own.get("config", [DEFAULT_CONFIG])[-1])


def read_config(path: Path, *, named: bool = False) -> dict[str, object]:
    """Read a config file and its `.d` directory; one that is closed is fatal, as is one that is `named` and absent."""
    merged: dict[str, object] = {}
    for file in (path, *_drop_ins(path)):
        try:
            data = yaml.safe_load(file.read_text())
        except FileNotFoundError:
            if named:
                raise Fatal(f"open {file}: no such file or directory") from None
            continue
        except OSError as error:
            raise Fatal(f"open {file}: {(error.strerror or 'input/output error').lower()}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise Fatal(f"yaml: {str(error).splitlines()[0]}") from None
        merged.update(data if isinstance(data, dict) else {})
    return merged


def _drop_ins(path: Path) -> list[Path]:
    directory = path.with_name(path.name + ".d")
    try:
        return sorted(entry for entry in directory.iterdir() if entry.suffix in {".yaml", ".yml"})
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Fatal(f"open {directory}: {(error.strerror or 'input/output error').lower()}") from None


def _from_config(path: Path, journal: Journal) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in read_config(path).items():
        name = SHORT.get(str(key).rstrip("+"), str(key).rstrip("+"))
        if name not in SWITCHES | VALUES:
            journal.warning(f"Unknown flag --{name} found in config.yaml, skipping\n")
            continue
        values = value if isinstance(value, list) else [value]
        found[name] = [str(item).lower() if isinstance(item, bool) else str(item) for item in values]
    return found


def _parse_line(arguments: Sequence[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--" or not word.startswith("-") or word == "-":
            break
        name, equals, value = word.lstrip("-").partition("=")
        name = SHORT.get(name, name)
        given.setdefault(name, []).append(_value_of(name, value if equals else None, rest))
    return given


def _value_of(name: str, value: str | None, rest: list[str]) -> str:
    if name in SWITCHES:
        if value is None:
            return "true"
        try:
            goparse.parse_bool(value)
        except goparse.GoError:
            raise Fatal(f"invalid boolean value {goparse.quote(value)} for -{name}: parse error") from None
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
