"""Rows for K3s's settings: files, options, token, kubeconfig, certificates and networks.

The limits of the unit are here too.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from k3s_rootless.finding import FixableBy, Verdict
from k3s_rootless.k3s import config_yaml, settings
from k3s_rootless.k3s.config_file import ConfigFile
from k3s_rootless.k3s.issued import OwnKubeconfig
from k3s_rootless.k3s.origin import Origin, Source, Variable
from k3s_rootless.k3s.settings import Inputs, Settings
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.records import (
    CertificateEnds,
    Cluster,
    Registered,
    Surroundings,
    Target,
    Token,
    Unit,
    UnreadLimit,
)
from tests.preflight.row import FAIL, PASS, UNKNOWN, USER, WARN, Row, row
from tests.strategies import HOST, NOW, k3s, version

HOME = Path("/home/alice")
_OWN = HOME / ".config/k3s/config.yaml"
_HOST = Path("/etc/rancher/k3s/config.yaml")
_UNITS = HOME / ".config/systemd/user"
_DROP_IN = _UNITS / "k3s-rootless.service.d/50-mine.conf"
_OURS = _UNITS / "k3s-rootless.service.d/90-k3s-rootless-config.conf"
_UNIT = _UNITS / "k3s-rootless.service"
_BASE = ("/usr/local/bin/k3s", "server", "--rootless")


def start(
    *argv: str, text: str = "", path: Path = _OWN, command: Path = _UNIT, **environ: str
) -> Settings:
    """Resolve the settings of a unit with arguments, one configuration file and an environment."""
    files = (ConfigFile(path, config_yaml.parse(text)),) if text else ()
    variables = {name: Variable(value, "drop-in", _DROP_IN) for name, value in environ.items()}
    return settings.resolve(
        Inputs(HOME, (*_BASE, *argv), files, variables, HOME, version("v1.33.4+k3s1"), command)
    )


def _set(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    *argv: str,
    **given: Any,
) -> Row:
    found = start(*argv, **given)
    unit = Unit("loaded", delegate=True, argv=(*_BASE, *argv))
    return row(check, verdict, expected, fixable_by, server=found, unit=Known(unit, "systemd"))


def _release(
    verdict: Verdict, expected: str, fixable_by: FixableBy | None, release: str, *argv: str
) -> Row:
    found = _set("config.options", verdict, expected, fixable_by, *argv)
    return replace(found, host=replace(found.host, k3s=k3s(release)))


_BROKEN = "data-dir: /srv\nfoo: [\n"
FILES = (
    row("config.syntax", PASS, "none", None),
    _set("config.syntax", PASS, "config.yaml", None, text="debug: true"),
    _set("config.syntax", FAIL, "not valid YAML", USER, text=_BROKEN),
    _set("config.syntax", FAIL, "not valid YAML", USER, text=_BROKEN, path=_HOST),
    row(
        "config.syntax",
        PASS,
        str(_HOST),
        None,
        server=start(text=_BROKEN, path=_HOST),
        surroundings=Known(
            Surroundings(frozenset(), frozenset(), {str(_HOST): errno.EACCES}, ufw=False)
        ),
    ),
    row("config.options", PASS, "valid", None),
    _set("config.options", FAIL, "has no such option", USER, "--frobnicate"),
    _set("config.options", FAIL, "has no such option", USER, "--frobnicate", command=_DROP_IN),
    _set("config.options", FAIL, "has no such option", USER, "--frobnicate", command=_OURS),
    _release(
        FAIL, "v1.25 was the last release with it", USER, "v1.33.4+k3s1", "--cluster-secret=x"
    ),
    _release(FAIL, "does not have this option yet", USER, "v1.25.4+k3s1", "--embedded-registry"),
    _set("config.options", WARN, "K3s ignores it", USER, text="frobnicate: 1"),
    _set("config.options", WARN, "K3s ignores it", USER, text="frobnicate: 1", path=_HOST),
    _set("config.options", FAIL, "must be a number", USER, text="https-listen-port: http"),
    _set("config.options", FAIL, "must be true or false", USER, K3S_SELINUX="yes"),
    _set("config.options", FAIL, "must be true or false", USER, text='debug: "yes"', path=_HOST),
    _set("config.options", FAIL, "no Pod can run", USER, "--docker"),
    _set("config.options", FAIL, "no Pod can run", USER, text="docker: true"),
    _set("config.options", PASS, "valid", None, text="docker: false"),
    _set(
        "config.options",
        FAIL,
        "two forms of the same flag",
        USER,
        "-d",
        "/srv/a",
        text="data-dir: /srv/b",
    ),
)


def _token(
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    origin: Origin,
    *,
    fits: bool | None,
    reason: str = "",
) -> Row:
    return row(
        "config.token",
        verdict,
        expected,
        fixable_by,
        token=Known(Token(origin, fits, reason), "server/token"),
    )


_VARIABLE = Origin(Source.ENVIRONMENT, _DROP_IN, variable="K3S_TOKEN", place="drop-in")
TOKEN = (
    row("config.token", PASS, "not set", None),
    row(
        "config.token",
        PASS,
        "same as in the datastore",
        None,
        server=start("--token=x"),
        token=Known(Token(Origin(Source.COMMAND_LINE), fits=True)),
    ),
    _token(FAIL, "not the token of the datastore, set in K3S_TOKEN", USER, _VARIABLE, fits=False),
    _token(FAIL, "config.yaml:3", USER, Origin(Source.CONFIG_FILE, _OWN, 3), fits=False),
    _token(
        FAIL,
        "encrypted with another token",
        USER,
        Origin(Source.COMMAND_LINE, _DROP_IN),
        fits=False,
    ),
    _token(
        UNKNOWN,
        "not a server token",
        None,
        _VARIABLE,
        fits=None,
        reason="the token of the datastore is not a server token",
    ),
    row("config.token", UNKNOWN, "locked", None, token=Unknown("it is locked")),
)


def _target(expected: str, blocking: str, *, own: bool = True, directory: bool = True) -> Row:
    path = "/home/alice/.kube/k3s.yaml"
    found = Target(path, f"{blocking} {expected}", blocking, own, directory)
    return row("config.kubeconfig", FAIL, expected, USER, target=Known(found, "access"))


KUBECONFIGS = (
    row("config.kubeconfig", PASS, "/home/alice/.kube/k3s.yaml", None),
    _target("is not writable", "/home/alice/.kube"),
    _target("is not writable", "/home/alice/.kube", own=False),
    _target("is not writable", "/home/alice/.kube/k3s.yaml", directory=False),
    _target("is not a regular file", "/home/alice/.kube/k3s.yaml"),
    _target("is not a directory", "/home/alice/.kube", directory=False),
    row("config.kubeconfig", UNKNOWN, "dark", None, target=Unknown("dark")),
)


def _baked(
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    found: OwnKubeconfig,
    *argv: str,
    **unit: Any,
) -> Row:
    return row(
        "config.certificates",
        verdict,
        expected,
        fixable_by,
        kubeconfigs=Known((found,), "server/cred"),
        server=start(*argv),
        unit=Known(Unit("loaded", delegate=True, **unit), "systemd"),
    )


_CONTROLLER = OwnKubeconfig(
    "controller.kubeconfig",
    6444,
    "/home/alice/.rancher/k3s/server/tls/client-controller.crt",
    elsewhere=False,
)
_OTHER_PORT = "--https-listen-port=7443"
CERTIFICATES = (
    row("config.certificates", PASS, "not created yet", None),
    _baked(PASS, "port 6444", None, _CONTROLLER),
    _baked(PASS, "port 6444", None, _CONTROLLER, _OTHER_PORT, "--apiserver-port=6444"),
    _baked(
        FAIL,
        "contains port 6444, but K3s's internal port is now 7444",
        USER,
        _CONTROLLER,
        _OTHER_PORT,
    ),
    _baked(
        FAIL,
        "K3s exits during its next start",
        USER,
        _CONTROLLER,
        _OTHER_PORT,
        active_state="active",
    ),
    _baked(FAIL, "not in this data directory", USER, replace(_CONTROLLER, elsewhere=True)),
    row("config.certificates", UNKNOWN, "dark", None, kubeconfigs=Unknown("dark")),
)


def _ends(
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    leaf: int,
    authority: int = 3650,
    **changes: Any,
) -> Row:
    """Return a row for certificates that end after so many days."""
    found = CertificateEnds(
        NOW,
        {"server/tls/client-admin.crt": NOW + timedelta(days=leaf)},
        {"server/tls/server-ca.crt": NOW + timedelta(days=authority)},
    )
    return row(
        "config.expiry", verdict, expected, fixable_by, certificates=Known(found, "tls"), **changes
    )


_ACTIVE: dict[str, Any] = {
    "unit": Known(Unit("loaded", delegate=True, active_state="active"), "systemd")
}
_READABLE = CertificateEnds(
    NOW,
    {"server/tls/client-admin.crt": NOW + timedelta(days=239)},
    {"server/tls/client-ca.crt": NOW + timedelta(days=3650)},
)
ENDS = (
    row("config.expiry", PASS, "not created yet", None),
    row("config.expiry", UNKNOWN, "dark", None, certificates=Unknown("dark")),
    _ends(PASS, "valid until 2027-11-22", None, 360),
    _ends(PASS, "the next start renews them", None, 119),
    _ends(PASS, "the next start renews them", None, -1),
    _ends(PASS, "valid until", None, 121, **_ACTIVE),
    _ends(WARN, "client-admin.crt ends on 2027-03-26", USER, 119, **_ACTIVE),
    _ends(WARN, "client-admin.crt has ended on 2026-11-26", USER, -1, **_ACTIVE),
    _ends(PASS, "valid until", None, 119, k3s=k3s("v1.32.4+k3s1"), **_ACTIVE),
    _ends(WARN, "(90 days before)", USER, 89, k3s=k3s("v1.32.4+k3s1"), **_ACTIVE),
    _ends(WARN, "server-ca.crt ends on", USER, 360, authority=364),
    _ends(FAIL, "server-ca.crt has ended on", USER, 360, authority=-1),
    row("config.ca_keys", PASS, "not created yet", None),
    row("config.ca_keys", PASS, "readable", None, certificates=Known(_READABLE, "tls")),
    row(
        "config.ca_keys",
        WARN,
        "server/tls/client-ca.key cannot be read",
        USER,
        certificates=Known(replace(_READABLE, keyless=("server/tls/client-ca.crt",)), "tls"),
    ),
    row(
        "config.ca_keys",
        WARN,
        "cannot renew them from 2027-03-26 on",
        USER,
        certificates=Known(replace(_READABLE, keyless=("server/tls/client-ca.crt",)), "tls"),
    ),
    row("config.ca_keys", UNKNOWN, "dark", None, certificates=Unknown("dark")),
)


def _cluster(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    *argv: str,
    **environ: Any,
) -> Row:
    found = Cluster((Registered(HOST.hostname, ("10.42.0.0/24",)),), ("10.43.0.1",))
    return row(
        check,
        verdict,
        expected,
        fixable_by,
        cluster=Known(found, "state.db"),
        server=start(*argv, **environ),
    )


_NAMED = "the cluster has "
CLUSTER = (
    row("config.networks", PASS, "10.42.0.0/16", None),
    _cluster("config.networks", PASS, "10.42.0.0/15", None, "--cluster-cidr=10.42.0.0/15"),
    _cluster("config.networks", PASS, "fd00::/56", None, "--cluster-cidr=10.42.0.0/16,fd00::/56"),
    _cluster(
        "config.networks",
        FAIL,
        "controller manager of K3s exits",
        USER,
        "--cluster-cidr=10.50.0.0/16",
    ),
    _cluster("config.networks", FAIL, "pods lose their DNS", USER, "--service-cidr=10.53.0.0/16"),
    row(
        "config.networks",
        FAIL,
        "controller manager of K3s exits",
        USER,
        cluster=Known(Cluster((Registered(HOST.hostname, ("10.50.0.0/24",)),), ()), "state.db"),
    ),
    row(
        "config.networks",
        UNKNOWN,
        "etcd",
        None,
        cluster=Unknown("the datastore is etcd, which k3s-rootless does not read"),
    ),
    _cluster("config.node", PASS, HOST.hostname, None, f"--node-name={HOST.hostname.upper()}"),
    _cluster("config.node", PASS, "not checked", None, "--with-node-id"),
    _cluster("config.node", WARN, _NAMED, USER, "--node-name=other"),
    _cluster("config.node", WARN, _NAMED, USER, K3S_NODE_NAME="other"),
    row(
        "config.node",
        WARN,
        _NAMED,
        USER,
        cluster=Known(Cluster((Registered("other", ("10.42.0.0/24",)),), ()), "state.db"),
    ),
    row("config.node", UNKNOWN, "dark", None, host=Unknown("dark")),
    row("config.server", PASS, "not set", None),
    _cluster("config.server", WARN, "cluster of one node", USER, "--server=https://other:6443"),
    _cluster("config.server", WARN, "set in K3S_URL", USER, K3S_URL="https://other:6443"),
)


def _limited(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    limits: Mapping[str, int | None],
    unread: Mapping[str, UnreadLimit] | None = None,
    active_state: str = "inactive",
) -> Row:
    unit = Unit(
        "loaded", active_state=active_state, delegate=True, limits=limits, unread=unread or {}
    )
    return row(check, verdict, expected, fixable_by, unit=Known(unit, "systemd"))


_MIB = 2**20
LIMITS = (
    *(row(check, PASS, "no limit", None) for check in ("unit.memory", "unit.tasks", "unit.files")),
    _limited("unit.memory", FAIL, "200 MiB", USER, {"MemoryMax": 200 * _MIB}),
    _limited("unit.memory", WARN, "500 to 800 MiB", USER, {"MemoryMax": 201 * _MIB}),
    _limited("unit.memory", PASS, "800 MiB", None, {"MemoryMax": 800 * _MIB}),
    _limited("unit.memory", PASS, "no limit", None, {"MemoryMax": None}),
    _limited("unit.tasks", FAIL, "TasksMax is 24", USER, {"TasksMax": 24}),
    _limited("unit.tasks", WARN, "can be too low", USER, {"TasksMax": 2047}),
    _limited("unit.tasks", PASS, "2048", None, {"TasksMax": 2048}),
    _limited("unit.files", FAIL, "LimitNOFILE is 64", USER, {"LimitNOFILE": 64}),
    _limited("unit.files", WARN, "too many open files", USER, {"LimitNOFILE": 1024}),
    _limited("unit.files", PASS, "4096", None, {"LimitNOFILE": 4096}),
    _limited(
        "unit.memory",
        FAIL,
        "MemoryMax is 100 MiB at the next start; the running K3s has no limit",
        USER,
        {"MemoryMax": None},
        {"MemoryMax": UnreadLimit(Known(100 * _MIB), "/a.conf")},
        "active",
    ),
    _limited(
        "unit.tasks",
        PASS,
        "no limit at the next start; the loaded unit has 24",
        None,
        {"TasksMax": 24},
        {"TasksMax": UnreadLimit(Known(None), "")},
    ),
    # The value is systemd's default, and no file has set it.
    _limited(
        "unit.tasks",
        PASS,
        "4915",
        None,
        {"TasksMax": 4915},
        {"TasksMax": UnreadLimit(Known(None), "")},
    ),
    _limited(
        "unit.files",
        UNKNOWN,
        "systemd has not read /a.conf yet: it is odd",
        None,
        {},
        {"LimitNOFILE": UnreadLimit(Unknown("it is odd"), "/a.conf")},
    ),
)
ROWS = (*FILES, *TOKEN, *KUBECONFIGS, *CERTIFICATES, *ENDS, *CLUSTER, *LIMITS)
