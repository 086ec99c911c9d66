"""Checks of the settings of K3s: files, options, token, kubeconfig and certificates.

K3s does not start if one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s import certificates, config_file, flags, integers, issued
from k3s_rootless.k3s.flags import Flag, Kind
from k3s_rootless.k3s.issued import OwnKubeconfig
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    Checklist,
    Judgement,
    failed,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import CertificateEnds, Target, Token
from k3s_rootless.preflight.remedies import host
from k3s_rootless.preflight.remedies.settings import from_command, without, without_file

check = Checklist()
_DOCKER = "docker"
_SWITCH = frozenset(
    ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"]
)
_NEW_AUTHORITIES = Remedy(
    FixableBy.USER,
    "replace the authorities; docs/how-to/certificates.md has the steps",
    ("k3s-rootless certs list",),
)
_REQUIRED = {
    Kind.NUMBER: "the value must be a number",
    Kind.SWITCH: "the value must be true or false",
}


@check("config.syntax", "Syntax of the configuration files", FATAL, "unit", "surroundings")
def config_syntax(facts: Facts) -> Judgement:
    """Check that the configuration files are YAML; K3s exits if one is not (`yaml: line 3: …`)."""
    unreadable = (
        facts.surroundings.value.configuration if isinstance(facts.surroundings, Known) else {}
    )
    files = facts.server.files
    for file in files:
        path = str(file.path)
        if isinstance(file.entries, Unknown) and not unreadable.get(path):
            remedy = without_file(path, str(facts.server.home))
            reason = "K3s does not start if this file is not valid YAML"
            return failed(f"{path}: {file.entries.reason}", reason, remedy, path)
    return passed(", ".join(str(file.path) for file in files) or "none")


@check("config.options", "Options of K3s", FATAL, "unit", "k3s")
def config_options(facts: Facts) -> Judgement:
    """Check that this release of K3s knows each option.

    K3s exits if its command line has an unknown option, and ignores one in a configuration file. It
    cannot use Docker as its container runtime without root.
    """
    version = _version(facts)
    problems = (
        _unknown_flags(facts, version),
        _bad_values(facts),
        _two_forms(facts),
        _docker(facts),
    )
    fatal = next(chain(*problems), None)
    if fatal is not None:
        return fatal
    for value in facts.server.skipped:
        remedy = without(value.name, value.origin, str(facts.server.home))
        reason = _why_unknown(value.name, version)
        return warned(
            f"{value.name} in {value.origin}",
            f"K3s ignores it: {reason}",
            remedy,
            str(value.origin.path),
        )
    return passed("valid")


@check.seen("config.token", "Token", FATAL, "token")
def config_token(facts: Facts, seen: Known[Token]) -> Judgement:
    """Check that the token is the one that K3s encrypted its datastore with.

    With another token, K3s exits.
    """
    found = seen.value
    if found.fits:
        given = {"token", "token-file"} & set(facts.server.given)
        return passed("same as in the datastore" if given else "not set", seen.source)
    if found.fits is None:
        return unknown(found.reason or "the two tokens cannot be compared")
    remedy = without("token", found.origin, str(facts.server.home))
    reason = (
        "K3s exits: the datastore is encrypted with another token; if none is set, K3s uses the"
        " token of the datastore"
    )
    return failed(
        f"not the token of the datastore, set in {found.origin}", reason, remedy, seen.source
    )


@check.seen("config.kubeconfig", "kubeconfig", FATAL, "target")
def config_kubeconfig(facts: Facts, seen: Known[Target]) -> Judgement:
    """Check that K3s can write its kubeconfig.

    If it cannot, it exits (`Failed to generate kubeconfig: open …: permission denied`).
    """
    found = seen.value
    if not found.obstacle:
        return passed(found.path, seen.source)
    return failed(
        found.obstacle,
        f"K3s exits if it cannot write {found.path}",
        _writable(facts, found),
        seen.source,
    )


@check.seen("config.certificates", "Internal kubeconfigs of K3s", FATAL, "kubeconfigs", "unit")
def config_certificates(facts: Facts, seen: Known[tuple[OwnKubeconfig, ...]]) -> Judgement:
    """Check that K3s's own kubeconfigs have the port of its settings.

    K3s writes server/cred/*.kubeconfig only together with its certificates. With another port, K3s
    exits at each start.
    """
    settings = facts.server
    port = issued.internal_port(settings.https_port, settings.value("apiserver-port").text)
    stale = issued.stale(seen.value, port)
    if stale is None:
        return passed(f"port {port}" if seen.value else "not created yet", seen.source)
    if settings.problems:
        return unknown(settings.problems[0])
    active = isinstance(facts.unit, Known) and facts.unit.value.active_state == "active"
    command = "k3s-rootless restart" if active else "k3s-rootless up"
    text = (
        "renew the certificates of K3s (k3s certificate rotate) while it is stopped; this command"
        " does so, and starts K3s"
    )
    remedy = Remedy(FixableBy.USER, text, (command,))
    return failed(stale, "K3s exits during its next start", remedy, seen.source)


@check.seen("config.expiry", "Ends of the certificates", FATAL, "certificates", "unit", "k3s")
def config_expiry(facts: Facts, seen: Known[CertificateEnds]) -> Judgement:
    """Check that the certificates of K3s are valid for some time.

    K3s renews them at a start within 120 days of their ends (90 days in earlier releases), and
    never renews its authorities.
    """
    found = seen.value
    ended, soon = _first_ends(found.authorities, found.now, certificates.AUTHORITY_DAYS)
    if ended:
        reason = "no part of the cluster trusts another one, and K3s does not renew authorities"
        return failed(ended, reason, _NEW_AUTHORITIES, seen.source)
    active = isinstance(facts.unit, Known) and facts.unit.value.active_state == "active"
    days = certificates.window_days(_version(facts))
    due = " and ".join(filter(None, _first_ends(found.renewed, found.now, days)))
    if due and active:
        text = "restart K3s, which renews its certificates"
        remedy = Remedy(FixableBy.USER, text, ("k3s-rootless restart",))
        return warned(due, f"K3s renews them only at a start ({days} days before)", remedy)
    if soon:
        reason = "K3s does not renew its authorities"
        return warned(soon, reason, _NEW_AUTHORITIES, seen.source)
    if not found.renewed:
        return passed("not created yet", seen.source)
    if due:
        return passed("the next start renews them", seen.source)
    return passed(f"valid until {min(found.renewed.values()):%Y-%m-%d}", seen.source)


@check.seen("config.ca_keys", "Keys of the CAs", DEGRADED, "certificates", "k3s")
def config_ca_keys(facts: Facts, seen: Known[CertificateEnds]) -> Judgement:
    """Check that K3s can read the keys of its CAs.

    Without a key, K3s starts with the certificates that it has, and cannot renew them.
    """
    found = seen.value
    if not found.keyless:
        return passed("readable" if found.authorities else "not created yet", seen.source)
    files = ", ".join(name.removesuffix(".crt") + ".key" for name in found.keyless)
    days = certificates.window_days(_version(facts))
    ends = min(found.renewed.values(), default=found.now)
    reason = "these CAs cannot sign: K3s starts with its certificates, and cannot renew them"
    if found.renewed:
        reason += f" from {ends - timedelta(days=days):%Y-%m-%d} on"
    remedy = Remedy(
        FixableBy.USER,
        "copy the key from your own copy, restore a backup, or replace the CAs;"
        " docs/how-to/certificates.md has the steps",
        ("k3s-rootless backup list", "k3s-rootless certs list"),
    )
    return warned(f"{files} cannot be read", reason, remedy, seen.source)


def _first_ends(ends: Mapping[str, datetime], now: datetime, days: int) -> tuple[str, str]:
    """Return which certificate has ended first, and which ends first within some days."""
    ordered = sorted((end, name) for name, end in ends.items() if end < now + timedelta(days=days))
    ended = [f"{name} has ended on {end:%Y-%m-%d}" for end, name in ordered if end <= now]
    soon = [f"{name} ends on {end:%Y-%m-%d}" for end, name in ordered if end > now]
    return next(iter(ended), ""), next(iter(soon), "")


def _version(facts: Facts) -> Version | None:
    found = facts.k3s.version
    return found.value if isinstance(found, Known) else None


def _flags_of_unit(facts: Facts) -> Iterator[str]:
    """Yield the names of the flags on the unit's command line."""
    if isinstance(facts.unit, Known):
        for name, _ in flags.words(facts.unit.value.argv):
            yield name


def _unknown_flags(facts: Facts, version: Version | None) -> Iterator[Judgement]:
    for name in _flags_of_unit(facts):
        flag = flags.named(name)
        if flag is not None and flag.known_to(version):
            continue
        # All flags of the command line are in one ExecStart, so the file of one is the file of all.
        path = str(facts.server.value("rootless").origin.path or "")
        remedy = from_command(name, path)
        reason = f"K3s exits: {_why_unknown(name, version)}"
        yield failed(f"--{name}", reason, remedy, "ExecStart")


def _why_unknown(name: str, version: Version | None) -> str:
    flag = flags.named(name)
    release = f"K3s {version}" if version else "K3s"
    if flag is None:
        return f"{release} has no such option"
    if flag.last is not None and version is not None and version.line > flag.last:
        last = f"v{flag.last[0]}.{flag.last[1]}"
        return f"{release} no longer has this option; {last} was the last release with it"
    first = "v{}.{}".format(*(flag.first or (1, 21)))
    return f"{release} does not have this option yet; {first} was the first release with it"


def _bad_values(facts: Facts) -> Iterator[Judgement]:
    for name, values in facts.server.given.items():
        flag = flags.FLAGS[name]
        for value in values:
            if not _fits(flag, value.text):
                remedy = without(name, value.origin, str(facts.server.home))
                observed = f"{name} is `{value.text}`, set in {value.origin}"
                yield failed(observed, f"K3s exits: {_REQUIRED[flag.kind]}", remedy)


def _fits(flag: Flag, text: str) -> bool:
    if flag.kind is Kind.NUMBER:
        return integers.parse(text) is not None
    return flag.kind is not Kind.SWITCH or text in _SWITCH


def _two_forms(facts: Facts) -> Iterator[Judgement]:
    given = {one.name for one in config_file.merged(facts.server.files)}
    given.update(_flags_of_unit(facts))
    for flag in flags.FLAGS.values():
        if flag.alias and {flag.name, flag.alias} <= given:
            reason = "K3s exits with `cannot use two forms of the same flag`"
            value = facts.server.value(flag.name)
            remedy = without(value.name, value.origin, str(facts.server.home))
            yield failed(f"{flag.name} and {flag.alias}", reason, remedy)


def _docker(facts: Facts) -> Iterator[Judgement]:
    if not facts.server.switch(_DOCKER):
        return
    value = facts.server.value(_DOCKER)
    remedy = without(_DOCKER, value.origin, str(facts.server.home))
    reason = (
        "no Pod can run: dockerd starts containers outside of the namespaces of K3s, where the"
        " kubelet has neither their files nor their network"
    )
    yield failed(f"{_DOCKER}, set in {value.origin}", reason, remedy)


def _writable(facts: Facts, found: Target) -> Remedy:
    place = quote(found.blocking)
    if found.own and found.directory and found.blocking != found.path:
        text = f"make {found.blocking} writable"
        return Remedy(FixableBy.USER, text, (f"chmod u+rwx {place}", "k3s-rootless up"))
    if found.own and f"{found.blocking}/".startswith(f"{facts.server.home}/"):
        aside = f"{found.blocking}.off"
        text = f"move {found.blocking} away; it is kept as {aside}"
        return Remedy(FixableBy.USER, text, (f"mv {place} {quote(aside)}", "k3s-rootless up"))
    text = "have K3s write its kubeconfig to ~/.config/k3s/k3s.yaml"
    return host.setting(text, "K3S_KUBECONFIG_OUTPUT", "%h/.config/k3s/k3s.yaml")
