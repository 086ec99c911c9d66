"""Let K3s use the proxies of this shell, as the installer of K3s does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import UsageError
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.environment import (
    change,
    document,
    proxy_hint,
    reading,
    surroundings,
)
from k3s_rootless.service.drop_ins import environment as environment_drop_in
from k3s_rootless.service.environment import shell_proxies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.environment.change import Changed
    from k3s_rootless.operations.environment.reading import ObservedEnvironment

_HINT = "set a proxy with: k3s-rootless env set --stdin HTTPS_PROXY"
_SERVICES = ".svc"


@dataclass(frozen=True, slots=True)
class Preview:
    """The variables that would be set, with `***` in place of passwords."""

    values: Mapping[str, str]


def preview(context: Context) -> Preview:
    """Return what `import_proxy` would set now. Raises its errors."""
    values = _values(context)
    shown = {name: reading.shown(name, value, reveal=False) for name, value in values.items()}
    return Preview({name: value or "" for name, value in shown.items()})


def import_proxy(context: Context, *, force: bool = False) -> Changed:
    """Set the proxies of this shell for the next start of K3s.

    NO_PROXY gets the networks and the domain of the cluster as well. Raises UsageError if the shell
    has no proxy, and the errors of `change.set_variables`.
    """
    return change.set_variables(context, _values(context), force=force)


def preview_document(found: Preview) -> dict[str, Any]:
    """Return the JSON document of a dry run."""
    rows = [{"name": name, "value": value} for name, value in found.values.items()]
    return {"dry_run": True, "changed": False, "variables": rows, "pending": None, "errors": []}


def change_document(done: Changed) -> dict[str, Any]:
    """Return the JSON document of a change."""
    whole = document.change_document(done)
    rows = [{"name": row["name"], "value": row["value"]} for row in whole["variables"]]
    return {
        "dry_run": False,
        "changed": whole["changed"],
        "variables": rows,
        "pending": whole["pending"],
        "errors": [],
    }


def _values(context: Context) -> dict[str, str]:
    found = shell_proxies.of(context.environ)
    for name in shell_proxies.unread(context.environ):
        context.notice(f"{name} is not imported: neither K3s nor containerd reads it")
    if not shell_proxies.addresses(found):
        raise UsageError(
            "cannot import a proxy: this shell sets neither HTTP_PROXY nor HTTPS_PROXY", hint=_HINT
        )
    for name in shell_proxies.contradictory(context.environ):
        lower = shell_proxies.LOWER[name]
        context.notice(f"warning: {name} and {lower} differ in this shell; {name} is imported")
    _require_usable(found)
    with context.manager() as manager:
        seen = reading.read(context, manager)
    exceptions = _exceptions(context, seen)
    return shell_proxies.with_exceptions(found, proxy_hint.assigned(seen), exceptions)


def _require_usable(found: Mapping[str, str]) -> None:
    """Raise UsageError for a value that systemd cannot pass on; the value is not printed."""
    for name, value in found.items():
        reason = environment_drop_in.refusal(name, value)
        if reason:
            raise UsageError(f"cannot import {name}: {reason}", hint=_HINT)


def _exceptions(context: Context, seen: ObservedEnvironment) -> tuple[str, ...]:
    """Return what K3s must reach without a proxy."""
    settings = server_settings.of_next_start(context, seen.state, seen.sources.manager)
    around = surroundings.alone(seen.values(), context.paths.home)
    domain = settings.value("cluster-domain").text
    return tuple(_of_cluster((settings.cluster_cidr, settings.service_cidr), domain, around.child))


def _of_cluster(networks: tuple[str, str], domain: str, child: object) -> Iterator[str]:
    # K3s itself adds these to its own list, except for the network of the child namespace, in
    # which the API server reaches the kubelet. containerd gets no such list from K3s.
    yield "127.0.0.0/8"
    yield str(child)
    for network in networks:
        yield from network.split(",")
    yield _SERVICES
    if domain:
        yield f".{domain}"
