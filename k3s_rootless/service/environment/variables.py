"""The environment variables that rootless K3s reads, and the effect of their values.

The source is the code of K3s (pkg/rootless/rootless.go and portdriver.go, v1.21 to v1.37), not its
documentation. K3s only warns in its journal about some values and uses its default, and exits
because of others. The judges here report both before a value is written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from k3s_rootless.k3s import features, flags
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Known, Observed
from k3s_rootless.service.environment import go_values
from k3s_rootless.service.environment.pending import PREFIX

INTERNAL = f"_{PREFIX}"
"""Prefix of variables that K3s passes to its child; if set from outside, K3s acts as a child."""
_JOINS = "server"
CHILD_NETWORK = "10.41.0.0/16"
LARGEST_MTU = 65521
LONGEST = 131_071
"""Limit in bytes for `NAME=value`: Linux starts no program with a longer one (MAX_ARG_STRLEN)."""


class Effect(Enum):
    """Effect of a value on K3s."""

    USED = "used"
    IGNORED = "ignored"
    FATAL = "fatal"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The effect of a value on K3s, with the reason and warnings.

    `reason` is set if K3s does not use the value.
    """

    effect: Effect = Effect.USED
    reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """The reason, if there is one, and the warnings."""
        if not self.reason:
            return self.warnings
        return (self.reason, *self.warnings)


@dataclass(frozen=True, slots=True)
class Network:
    """A network that is in use, and its owner, such as `eth0 of this host` or `Pods`."""

    text: str
    owner: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The context in which a value is judged.

    It holds the K3s release, the networks in use, the directories that were searched for, and the
    values of the other variables.
    """

    version: Version | None = None
    networks: tuple[Network, ...] = ()
    directories: Mapping[str, Observed[bool]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def child(self) -> ipaddress.IPv4Network:
        """The network of the child namespace, the default of K3s if none is set."""
        found = go_values.network(self.values.get(f"{PREFIX}CIDR", ""))
        if found is None or found[0].version != 4:
            return ipaddress.IPv4Network(CHILD_NETWORK)
        return ipaddress.IPv4Network((int(found[0]), found[1]), strict=False)

    @property
    def gateway(self) -> str:
        """The address at which the child namespace reaches this host, if it is allowed to.

        It is the second address of the child network (rootlesskit, slirp4netns).
        """
        return str(self.child.network_address + 2)

    @property
    def loopback_open(self) -> bool:
        """True if the child namespace can connect to 127.0.0.1 of this host."""
        return go_values.boolean(self.values.get(f"{PREFIX}DISABLE_HOST_LOOPBACK", "")) is False


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, with the values that it accepts, its default, its purpose and its judge.

    `judge` returns the effect of a value; `since` names the first K3s releases that read the
    variable.
    """

    name: str
    takes: str
    default: str | None
    purpose: str
    judge: Callable[[str, Surroundings], Judgement]
    since: features.Since | None = None


def judge(name: str, value: str, around: Surroundings) -> Judgement:
    """Return the effect of a variable's value on K3s.

    An empty value is treated like no value.
    """
    variable = VARIABLES[name]
    if variable.since and around.version and not variable.since.holds(around.version):
        firsts = ", ".join(first.text for first in variable.since.firsts)
        return Judgement(
            Effect.UNREAD,
            f"K3s {around.version} does not read it; the first releases that do are {firsts}",
        )
    if not value:
        return Judgement()
    return variable.judge(value, around)


def unknown(name: str) -> str:
    """Return the reason why there is no such variable.

    The reason suggests a similar name if there is one.
    """
    if name.startswith(INTERNAL):
        return (
            "it is internal to K3s: the parent process of K3s passes it to its child. If it is set"
            " from outside, K3s does not start"
        )
    if name.upper() in VARIABLES:
        return f"its name is {name.upper()}, in capitals"
    # Imported here because the benchmarks limit the time of `env list`, and few environments
    # contain an unknown name.
    import difflib

    # Imported here, for the same reason.
    from k3s_rootless.k3s import options

    flag = next((one.name for one in flags.FLAGS.values() if one.variable == name), "")
    if flag == _JOINS:
        return f"it sets `{flag}`: {options.REFUSED[flag]}"
    if flag in options.OPTIONS:
        return f"it sets `{flag}`, for which there is: k3s-rootless config set {flag} VALUE"
    close = difflib.get_close_matches(name.upper(), VARIABLES, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    if name.startswith(PREFIX):
        return f"K3s has no such variable{guess}"
    return f"it is not a variable that k3s-rootless manages{guess}"


def directories(value: str) -> tuple[str, ...]:
    """Return the directories of a K3S_ROOTLESS_COPYUPDIRS, as K3s resolves them.

    `.` is the working directory of K3s.
    """
    if not value:
        return ()
    return tuple(go_values.clean(entry) for entry in value.split(","))


def _fatal(cause: str) -> Judgement:
    return Judgement(Effect.FATAL, f"K3s exits with this value, because {cause}")


def _ignored(cause: str, default: str) -> Judgement:
    return Judgement(Effect.IGNORED, f"{cause}, so K3s uses its default: {default}")


def _mtu(value: str, _: Surroundings) -> Judgement:
    number = go_values.integer(value)
    if number is None:
        return _ignored("it is not a number", "65520")
    if number < 0:
        return _fatal("the MTU is negative")
    if number > LARGEST_MTU:
        return _fatal(f"slirp4netns accepts an MTU of at most {LARGEST_MTU}")
    if number == 0:
        return Judgement(warnings=("0 means the default of 65520",))
    return Judgement()


def _cidr(value: str, around: Surroundings) -> Judgement:
    found = go_values.network(value)
    if found is None:
        return _fatal("it is not a network such as 10.41.0.0/16")
    address, length = found
    if address.version != 4:
        return _fatal("slirp4netns accepts only an IPv4 network")
    network = ipaddress.IPv4Network((int(address), length), strict=False)
    if network.network_address != address:
        return _fatal(f"it is the address of a host; its network is {network}")
    if not 1 <= length <= 25:
        return _fatal("slirp4netns accepts only prefixes from 1 to 25")
    return Judgement(warnings=tuple(_overlaps(network, around.networks)))


def _overlaps(network: ipaddress.IPv4Network, others: tuple[Network, ...]) -> Iterator[str]:
    for other in others:
        if network.overlaps(ipaddress.IPv4Network(other.text)):
            yield (
                f"{network} overlaps with {other.text} ({other.owner}): K3s and its Pods cannot"
                " reach the addresses that are in both"
            )


def _boolean(default: str) -> Callable[[str, Surroundings], Judgement]:
    def judged(value: str, _: Surroundings) -> Judgement:
        if go_values.boolean(value) is None:
            return _ignored("it is neither true nor false", default)
        return Judgement()

    return judged


def _host_loopback(value: str, around: Surroundings) -> Judgement:
    if go_values.boolean(value) is False:
        warning = f"every Pod can reach services on 127.0.0.1 of this host, at {around.gateway}"
        return Judgement(warnings=(warning,))
    return _boolean("true")(value, around)


def _port_driver(value: str, _: Surroundings) -> Judgement:
    # Go's ToLower converts U+0130 to `i`, Python converts it to two characters.
    if value.replace("\u0130", "i").lower() in {"builtin", "slirp4netns"}:
        return Judgement()
    return _ignored("it is neither builtin nor slirp4netns", "builtin")


def _copy_up(value: str, around: Surroundings) -> Judgement:
    warnings = []
    for entry, directory in zip(value.split(","), directories(value), strict=True):
        if directory == "/tmp":  # noqa: S108 (a value of rootlesskit)
            return _fatal(f"{directory} cannot be copied up")
        if directory == ".":
            warnings.append(
                "an empty entry means the working directory of K3s, which is your home directory"
            )
            continue
        there = around.directories.get(directory)
        if isinstance(there, Known) and not there.value:
            spaces = "; K3s does not remove spaces around commas" if entry != entry.strip() else ""
            return _fatal(f"`{directory}` is not a directory{spaces}")
        if there is not None and not isinstance(there, Known):
            warnings.append(
                f"K3s exits if `{directory}` is not a directory, and this cannot be checked:"
                f" {there.reason}"
            )
    return Judgement(warnings=tuple(warnings))


def _proxy(value: str, around: Surroundings) -> Judgement:
    # Imported here and in _no_proxy because most environments contain no proxy.
    from k3s_rootless.service.environment import proxies

    proxy = proxies.parse(value)
    if proxy is None:
        return Judgement(
            Effect.IGNORED,
            "it is not the address of a proxy, so Go's HTTP library sends requests directly",
        )
    if not proxy.host:
        return Judgement(warnings=("it contains no host, so every request fails",))
    warnings = []
    if proxy.scheme not in proxies.SCHEMES:
        schemes = ", ".join(proxies.SCHEMES)
        warnings.append(f"Go supports proxies with {schemes}, and not with `{proxy.scheme}`")
    if proxy.host in proxies.SCHEMES:
        warnings.append(f"its host is `{proxy.host}`, which is probably not what you want")
    if proxies.loopback(proxy.host):
        how = "" if around.loopback_open else f" with {PREFIX}DISABLE_HOST_LOOPBACK=false"
        warnings.append(
            f"{proxy.host} is an address in K3s's namespace, where no proxy of this host listens:"
            f" use an address of this host's network, or {around.gateway}{how}"
        )
    if proxy.host == around.gateway and not around.loopback_open:
        warnings.append(f"K3s can reach {proxy.host} only with {PREFIX}DISABLE_HOST_LOOPBACK=false")
    return Judgement(warnings=tuple(warnings))


def _no_proxy(value: str, _: Surroundings) -> Judgement:
    # Imported here for the same reason as in _proxy.
    from k3s_rootless.service.environment import proxies

    unmatched = ", ".join(f"`{entry}`" for entry in proxies.unmatched(value))
    if not unmatched:
        return Judgement()
    forms = "an entry is a name, an address, a network, `*` or `*.name`"
    return Judgement(warnings=(f"no host matches {unmatched}: {forms}",))


def _table() -> Iterator[Variable]:
    known, later = features.ROOTLESS_VARIABLES, features.COPY_UP_DIRECTORIES
    yield Variable(
        f"{PREFIX}MTU", f"1 to {LARGEST_MTU}", "65520", "MTU of the child network", _mtu, known
    )
    networks, purpose = "an IPv4 network, prefix 1 to 25", "network of the child namespace"
    yield Variable(f"{PREFIX}CIDR", networks, CHILD_NETWORK, purpose, _cidr, known)
    purpose = "IPv6 in the child namespace"
    ipv6 = "true if --node-ip has an IPv4 and an IPv6 address, otherwise false"
    yield Variable(f"{PREFIX}ENABLE_IPV6", "true or false", ipv6, purpose, _boolean(ipv6), known)
    drivers = "builtin or slirp4netns"
    purpose = "program that forwards ports"
    yield Variable(f"{PREFIX}PORT_DRIVER", drivers, "builtin", purpose, _port_driver, known)
    loopback = "blocks connections from K3s to 127.0.0.1 of this host"
    yield Variable(
        f"{PREFIX}DISABLE_HOST_LOOPBACK", "true or false", "true", loopback, _host_loopback, known
    )
    yield Variable(
        f"{PREFIX}COPYUPDIRS",
        "directories, separated by commas",
        "",
        "directories that are writable in the child namespace",
        _copy_up,
        later,
    )
    for before, user in (("", "K3s and containerd"), ("CONTAINERD_", "containerd only")):
        for scheme in ("HTTP", "HTTPS"):
            purpose = f"proxy of {user} for {scheme.lower()}://"
            yield Variable(
                f"{before}{scheme}_PROXY", "the address of a proxy", None, purpose, _proxy
            )
        yield Variable(
            f"{before}NO_PROXY",
            "names and networks, separated by commas",
            None,
            f"hosts that are reached without a proxy, by {user}",
            _no_proxy,
        )


VARIABLES: Mapping[str, Variable] = {variable.name: variable for variable in _table()}
SECRETIVE = frozenset(name for name in VARIABLES if name.endswith(("HTTP_PROXY", "HTTPS_PROXY")))
"""The variables that can contain a password."""
