"""Resolve K3s's settings: the value of each flag of `k3s server`, and its origin.

A flag of the command line overrides the configuration files, these override the flag's environment
variable, and the variable overrides K3s's default. Lists are different: the values of the command
line and of the configuration files are combined. (K3s pkg/configfilearg inserts the values of the
files directly after the word `server`; urfave/cli 1.22 and 2.27 both append. K3s's documentation
states that the command line replaces the list, which is wrong: tested with the flags and the parser
of v1.31.4, and with K3s v1.36.3 itself. Its certificate contains the `tls-san` values of both.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from k3s_rootless.k3s import config_file, features, flags, integers, layout
from k3s_rootless.k3s.config_file import ConfigFile
from k3s_rootless.k3s.flags import FLAGS, Kind
from k3s_rootless.k3s.origin import Origin, Source, Value, Variable
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Unknown

HTTPS_PORT = 6443
TEMPORARY = Path("/tmp")  # noqa: S108 (the default of K3s and rootlesskit without TMPDIR)
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_HOMES = ("$HOME", "${HOME}", "~")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs from which the settings are resolved.

    `argv` is the argument list of the unit, and `command` the file that contains it. `directory` is
    the working directory of K3s, which relative paths start from, and `config` the location of its
    configuration file. `problems` are the inputs that could not be read, each with its reason.
    """

    home: Path
    argv: Sequence[str] = ()
    files: tuple[ConfigFile, ...] = ()
    environment: Mapping[str, Variable] = field(default_factory=dict)
    directory: Path | None = None
    version: Version | None = None
    command: Path | None = None
    config: str = config_file.DEFAULT
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The resolved settings of one K3s.

    `given` maps the name of a flag to the values that count: a single value, or all values of a
    list. `skipped` are keys of configuration files that K3s does not have and ignores. `config` is
    the location of the configuration file, and `files` are the files that were read. `temporary` is
    K3s's directory for temporary files. `problems` are the facts that are unknown, with the reason:
    with a problem, any value may be wrong. If K3s is running, `outdated` names the configuration
    file that changed after the start.
    """

    home: Path
    directory: Path
    given: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    skipped: tuple[Value, ...] = ()
    config: str = config_file.DEFAULT
    files: tuple[ConfigFile, ...] = ()
    problems: tuple[str, ...] = ()
    temporary: Path = TEMPORARY
    outdated: str = ""

    def value(self, name: str) -> Value:
        """Return the value of a flag; K3s's default if the flag is not set."""
        found = self.given.get(name)
        return found[-1] if found else Value(name, FLAGS[name].default, Origin(Source.DEFAULT))

    def values(self, name: str) -> tuple[Value, ...]:
        """Return all values of a list, unchanged; empty if the flag is not set."""
        return self.given.get(name, ())

    def words(self, name: str) -> tuple[str, ...]:
        """Return the elements of a list: K3s splits each value at its commas."""
        parts = (part.strip() for value in self.values(name) for part in value.text.split(","))
        return tuple(part for part in parts if part)

    def doubt(self, name: str) -> str:
        """Return why the value of a flag may be wrong; empty if the value is certain."""
        certain = self.value(name).origin.source in {Source.PROCESS, Source.COMMAND_LINE}
        if certain and FLAGS[name].kind is not Kind.LIST:
            return ""
        return "; ".join(self.problems)

    def switch(self, name: str) -> bool:
        """Return whether a switch is on; a value that prevents K3s from starting counts as off."""
        return self.value(name).text in _TRUE

    def having(self, values: Mapping[str, Value]) -> Settings:
        """Return these settings with other values for some flags."""
        replaced = {name: (value,) for name, value in values.items()}
        return replace(self, given={**self.given, **replaced})

    @cached_property
    def data(self) -> Path:
        """The data directory."""
        text = self.value("data-dir").text
        for name in _HOMES:
            # At any position in the text (K3s pkg/util/home, and before it wrangler's resolvehome).
            text = text.replace(name, str(self.home))
        return _absolute(self.directory, text) if text else self.home / layout.DATA

    @property
    def rootlesskit_state(self) -> Path:
        """The state directory of rootlesskit, in releases with a fixed one."""
        return self.data / layout.ROOTLESS

    @property
    def config_path(self) -> str:
        """The absolute path of K3s's configuration file; empty if there is none, or for a URL."""
        if not self.config or config_file.is_url(self.config):
            return ""
        return str(_absolute(self.directory, self.config))

    @cached_property
    def kubeconfig(self) -> Path:
        """The kubeconfig that K3s writes.

        K3s does not expand `~` in its path (K3s pkg/server, v1.21 to v1.36).
        """
        text = self.value("write-kubeconfig").text
        return _absolute(self.directory, text) if text else self.home / layout.KUBECONFIG

    @cached_property
    def https_port(self) -> int:
        """The port of the API, which is the same inside the namespace and on the host.

        K3s's default is used for a value that prevents K3s from starting.
        """
        return _port(self.value("https-listen-port").text)

    @cached_property
    def disabled(self) -> frozenset[str]:
        """The packaged components that K3s does not deploy."""
        return frozenset((*self.words("disable"), *self.words("no-deploy")))

    @property
    def agentless(self) -> bool:
        """True if K3s runs without its agent: no namespaces, no forwards, no node, no Pods.

        This also holds with --rootless (K3s pkg/cli/server, v1.21 to v1.36).
        """
        return self.switch("disable-agent")

    @property
    def servicelb(self) -> bool:
        """True if servicelb runs."""
        return "servicelb" not in self.disabled

    @property
    def traefik(self) -> bool:
        """True if K3s deploys traefik."""
        return "traefik" not in self.disabled

    @property
    def snapshotter(self) -> str:
        """The configured containerd snapshotter; empty for K3s's default."""
        return self.value("snapshotter").text if "snapshotter" in self.given else ""

    @property
    def cluster_cidr(self) -> str:
        """The networks of the pods, separated by commas."""
        return ",".join(self.words("cluster-cidr")) or FLAGS["cluster-cidr"].default

    @property
    def service_cidr(self) -> str:
        """The networks of the Services, separated by commas."""
        return ",".join(self.words("service-cidr")) or FLAGS["service-cidr"].default

    @property
    def node_name(self) -> str:
        """The name of the node; empty for the host name."""
        return self.value("node-name").text

    @property
    def selinux(self) -> bool:
        """True if containerd uses SELinux."""
        return self.switch("selinux")


def resolve(inputs: Inputs) -> Settings:
    """Resolve the settings."""
    given: dict[str, list[Value]] = {}
    skipped = []
    for value in _from_files(inputs):
        flag = flags.named(value.name)
        if flag is None or not flag.known_to(inputs.version):
            skipped.append(value)
        else:
            given.setdefault(flag.name, []).append(value)
    for value in _from_command(inputs):
        flag = flags.named(value.name)
        if flag is not None:
            given.setdefault(flag.name, []).append(value)
    for name, variable in _variables(inputs):
        given.setdefault(name, [_of_variable(name, variable, inputs)])
    temporary = inputs.environment.get("TMPDIR", _NOTHING).text
    return Settings(
        inputs.home,
        inputs.directory or inputs.home,
        {name: _counting(name, values) for name, values in given.items()},
        tuple(skipped),
        inputs.config,
        inputs.files,
        (*inputs.problems, *_unread(inputs.files)),
        Path(temporary) if temporary else TEMPORARY,
    )


def _counting(name: str, values: Sequence[Value]) -> tuple[Value, ...]:
    """Return the values of a flag that count: all values of a list, else the last value."""
    if FLAGS[name].kind is Kind.LIST:
        return tuple(values)
    return (values[-1],)


def _unread(files: Iterable[ConfigFile]) -> Iterator[str]:
    for file in files:
        if isinstance(file.entries, Unknown):
            yield f"{file.path}: {file.entries.reason}"


def _from_files(inputs: Inputs) -> Iterator[Value]:
    for one in config_file.merged(inputs.files):
        yield Value(one.name, one.text, Origin(Source.CONFIG_FILE, one.path, one.line))


def _from_command(inputs: Inputs) -> Iterator[Value]:
    for name, text in flags.words(inputs.argv):
        yield Value(name, text, Origin(Source.COMMAND_LINE, inputs.command))


def _variables(inputs: Inputs) -> Iterator[tuple[str, str]]:
    for flag in FLAGS.values():
        # Older releases set K3S_DATA_DIR themselves, to one of their own directories, and do not
        # read it.
        unread = (
            flag.name == "data-dir"
            and inputs.version
            and not features.DATA_DIR_VARIABLE.holds(inputs.version)
        )
        if flag.variable and inputs.environment.get(flag.variable, _NOTHING).text and not unread:
            yield flag.name, flag.variable


def _of_variable(name: str, variable: str, inputs: Inputs) -> Value:
    found = inputs.environment[variable]
    return Value(
        name,
        found.text,
        Origin(Source.ENVIRONMENT, found.path, variable=variable, place=found.place),
    )


_NOTHING = Variable("")


def _absolute(directory: Path, text: str) -> Path:
    # As Go's filepath.Abs: `..` is resolved in the text, without following links.
    return Path("/" + os.path.normpath(directory / text).lstrip("/"))


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and not text.startswith("0") and len(text) <= 5:
        number = int(text)
    else:
        # Go parses `0x1D13` and `010` like C.
        number = integers.parse(text) or 0
    return number if 0 < number < 65536 else HTTPS_PORT
