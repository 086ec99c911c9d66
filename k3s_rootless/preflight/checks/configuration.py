"""Checks of the settings of K3s: files, options, token, kubeconfig and certificates.

K3s does not start if one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s import config_file, flags, integers, issued
from k3s_rootless.k3s.flags import Flag, Kind
from k3s_rootless.k3s.issued import OwnKubeconfig
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.judgement import (
    FATAL,
    Checklist,
    Judgement,
    failed,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Target, Token
from k3s_rootless.preflight.remedies import host
from k3s_rootless.preflight.remedies.settings import file_aside, from_command, without

check = Checklist()
_SWITCH = frozenset(
    ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"]
)
_TAKES = {
    Kind.NUMBER: "it takes a number",
    Kind.SWITCH: "it is switched on or off: true or false",
}


@check("config.syntax", "Configuration files of K3s are YAML", FATAL, "unit", "beside")
def config_syntax(facts: Facts) -> Judgement:
    """Check that the configuration files are YAML; K3s exits if one is not (`yaml: line 3: …`)."""
    unreadable = facts.beside.value.configuration if isinstance(facts.beside, Known) else {}
    files = facts.server.files
    for file in files:
        path = str(file.path)
        if isinstance(file.entries, Unknown) and not unreadable.get(path):
            remedy = file_aside(path, str(facts.server.home))
            return failed(
                f"{path}: {file.entries.reason}", "K3s does not start with it", remedy, path
            )
    return passed(", ".join(str(file.path) for file in files) or "none")


@check("config.options", "Options of K3s are known to this release", FATAL, "unit", "k3s")
def config_options(facts: Facts) -> Judgement:
    """Check that this release of K3s knows each option.

    K3s exits if its command line has an unknown option, and skips one in a configuration file.
    """
    version = _version(facts)
    fatal = next(chain(_unknown_words(facts, version), _bad_values(facts), _two_forms(facts)), None)
    if fatal is not None:
        return fatal
    for value in facts.server.skipped:
        remedy = without(value.name, value.origin, str(facts.server.home))
        reason = _stranger(value.name, version)
        return warned(
            f"{value.name} in {value.origin}",
            f"K3s skips it: {reason}",
            remedy,
            str(value.origin.path),
        )
    return passed("all known")


@check.seen("config.token", "The token is the one of the datastore", FATAL, "token")
def config_token(facts: Facts, seen: Known[Token]) -> Judgement:
    """Check that the token is the one that K3s encrypted its datastore with.

    With another token, K3s exits.
    """
    found = seen.value
    if found.fits:
        given = {"token", "token-file"} & set(facts.server.given)
        return passed("the same" if given else "none given", seen.source)
    if found.fits is None:
        return unknown(found.reason or "the two tokens cannot be compared")
    remedy = without("token", found.origin, str(facts.server.home))
    reason = (
        "K3s dies: the datastore is encrypted with another token; without one it takes the token of"
        " the datastore"
    )
    return failed(f"another token, from {found.origin}", reason, remedy, seen.source)


@check.seen("config.kubeconfig", "The kubeconfig can be written", FATAL, "target")
def config_kubeconfig(facts: Facts, seen: Known[Target]) -> Judgement:
    """Check that K3s can write its kubeconfig.

    If it cannot, it exits (`Failed to generate kubeconfig: open …: permission denied`).
    """
    found = seen.value
    if not found.obstacle:
        return passed(found.path, seen.source)
    return failed(
        found.obstacle,
        f"K3s dies: it cannot write {found.path}",
        _writable(facts, found),
        seen.source,
    )


@check.seen(
    "config.certificates", "K3s's own kubeconfigs fit its settings", FATAL, "kubeconfigs", "unit"
)
def config_certificates(facts: Facts, seen: Known[tuple[OwnKubeconfig, ...]]) -> Judgement:
    """Check that K3s's own kubeconfigs have the port of its settings.

    K3s writes server/cred/*.kubeconfig only together with its certificates. With another port, K3s
    exits at each start.
    """
    settings = facts.server
    port = issued.internal_port(settings.https_port, settings.value("apiserver-port").text)
    stale = issued.stale(seen.value, port)
    if stale is None:
        return passed(f"port {port}" if seen.value else "not issued yet", seen.source)
    if settings.problems:
        return unknown(settings.problems[0])
    active = isinstance(facts.unit, Known) and facts.unit.value.active_state == "active"
    command = "k3s-rootless restart" if active else "k3s-rootless up"
    text = "renew K3s's certificates while it is stopped (k3s certificate rotate), and start it"
    return failed(
        stale, "K3s dies at its next start", Remedy(FixableBy.USER, text, (command,)), seen.source
    )


def _version(facts: Facts) -> Version | None:
    found = facts.k3s.version
    return found.value if isinstance(found, Known) else None


def _words(facts: Facts) -> Iterator[str]:
    """Yield the names of the flags on the unit's command line."""
    if isinstance(facts.unit, Known):
        for name, _ in flags.words(facts.unit.value.argv):
            yield name


def _unknown_words(facts: Facts, version: Version | None) -> Iterator[Judgement]:
    for name in _words(facts):
        flag = flags.named(name)
        if flag is not None and flag.known_to(version):
            continue
        # All flags of the command line are in one ExecStart, so the file of one is the file of all.
        path = str(facts.server.value("rootless").origin.path or "")
        remedy = from_command(name, path)
        yield failed(
            f"--{name}", f"K3s dies of it: {_stranger(name, version)}", remedy, "ExecStart"
        )


def _stranger(name: str, version: Version | None) -> str:
    flag = flags.named(name)
    release = f"K3s {version}" if version else "K3s"
    if flag is None:
        return f"{release} has no such option"
    if flag.last is not None and version is not None and version.line > flag.last:
        return f"{release} has it no more; v{flag.last[0]}.{flag.last[1]} was the last with it"
    first = flag.first or (1, 21)
    return f"{release} does not have it yet; v{first[0]}.{first[1]} was the first with it"


def _bad_values(facts: Facts) -> Iterator[Judgement]:
    for name, values in facts.server.given.items():
        flag = flags.FLAGS[name]
        for value in values:
            if not _fits(flag, value.text):
                remedy = without(name, value.origin, str(facts.server.home))
                observed = f"{name} is `{value.text}`, from {value.origin}"
                yield failed(observed, f"K3s dies of it: {_TAKES[flag.kind]}", remedy)


def _fits(flag: Flag, text: str) -> bool:
    if flag.kind is Kind.NUMBER:
        return integers.parse(text) is not None
    return flag.kind is not Kind.SWITCH or text in _SWITCH


def _two_forms(facts: Facts) -> Iterator[Judgement]:
    given = {one.name for one in config_file.merged(facts.server.files)}
    given.update(_words(facts))
    for flag in flags.FLAGS.values():
        if flag.alias and {flag.name, flag.alias} <= given:
            reason = "K3s dies of two forms of one option: cannot use two forms of the same flag"
            value = facts.server.value(flag.name)
            remedy = without(value.name, value.origin, str(facts.server.home))
            yield failed(f"{flag.name} and {flag.alias}", reason, remedy)


def _writable(facts: Facts, found: Target) -> Remedy:
    place = quote(found.blocking)
    if found.own and found.directory and found.blocking != found.path:
        text = f"make {found.blocking} writable for yourself"
        return Remedy(FixableBy.USER, text, (f"chmod u+rwx {place}", "k3s-rootless up"))
    if found.own and f"{found.blocking}/".startswith(f"{facts.server.home}/"):
        aside = f"{found.blocking}.off"
        text = f"put {found.blocking} aside: it is kept as {aside}"
        return Remedy(FixableBy.USER, text, (f"mv {place} {quote(aside)}", "k3s-rootless up"))
    text = "let K3s write its kubeconfig to another place of yours"
    return host.setting(text, "K3S_KUBECONFIG_OUTPUT", "%h/.config/k3s/k3s.yaml")
