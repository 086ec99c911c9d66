"""Check registries.yaml: what K3s ignores in it, and what each registry answers to containerd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.k3s.flags import FLAGS
from k3s_rootless.node.inside import Node
from k3s_rootless.node.registries import endpoints, loopback, probe, proxies
from k3s_rootless.node.registries.facts import Endpoint, Reply, State
from k3s_rootless.observation import Known
from k3s_rootless.operations.node import surroundings
from k3s_rootless.operations.registries import place as places
from k3s_rootless.operations.registries import show
from k3s_rootless.operations.registries.show import Shown
from k3s_rootless.service.observe import process

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.registries.place import Place


@dataclass(frozen=True, slots=True)
class Result:
    """What an endpoint answered; `advice` are ways to solve the problem, if any is known."""

    endpoint: Endpoint
    reply: Reply
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """The file and the answers of its endpoints; without answers, `not_requested` says why."""

    shown: Shown
    results: tuple[Result, ...]
    not_requested: str = ""

    @property
    def good(self) -> bool:
        """Whether there is no problem in the file, and K3s can pull from each registry.

        containerd requests a registry itself only if its mirrors fail, so it need not answer then.
        """
        ready = {one.endpoint.url: one.reply.state is State.READY for one in self.results}
        listed = [row.endpoints for row in self.shown.rows]
        works = all(_works(endpoints, ready) for endpoints in listed)
        return works and not self.shown.found.problems


def check(context: Context, names: Sequence[str] = ()) -> Checked:
    """Check the file, and request the endpoints of these registries; all without names.

    Raises RootlessError, also for a registry that is not in the file.
    """
    place = places.find(context)
    shown = show.of_place(context, place)
    endpoints = _endpoints(shown, names)
    if not endpoints:
        return Checked(shown, ())
    if not place.state.running:
        return Checked(shown, (), "K3s is not running, so no registry was requested")
    try:
        child = surroundings.child(context, place.state, "registries check")
    except NotReady:
        return Checked(shown, (), "K3s has not created its namespaces yet")
    environ = _environment(context, place)
    found = proxies.of_environment(environ, _of_cluster(place))
    node = Node(child, place.state.control_group)
    replies = probe.replies(node, endpoints, found, context.environ)
    results = [
        Result(one, reply, _advice(one, reply, environ))
        for one, reply in zip(endpoints, replies, strict=True)
    ]
    return Checked(shown, tuple(results))


def _works(endpoints: Sequence[Endpoint], ready: Mapping[str, bool]) -> bool:
    """Return whether all requested mirrors are ready, or else, without any, the registry."""
    mirrors = [one for one in endpoints if not one.default]
    return all(ready.get(one.url, True) for one in mirrors or endpoints)


def _endpoints(shown: Shown, names: Sequence[str]) -> tuple[Endpoint, ...]:
    known = {row.name: row for row in shown.rows}
    for name in names:
        if name not in known and not shown.fatal:
            raise RootlessError(
                f"cannot check `{name}`: it is not in {shown.path}",
                hint="list the registries with: k3s-rootless registries show",
            )
    chosen = [row for row in shown.rows if not names or row.name in names]
    # A mirror of several registries is requested once.
    listed = {one.url: one for row in chosen for one in row.endpoints}
    return tuple(listed.values())


def _environment(context: Context, place: Place) -> Mapping[str, str]:
    """Return the environment of the running K3s, or else that of its next start."""
    found = process.started_with(place.state.main_pid, place.state.invocation)
    if isinstance(found, Known):
        return found.value
    context.notice(
        f"the environment of K3s is unknown ({found.reason}); proxies are taken from the unit"
    )
    return place.state.environment or {}


def _of_cluster(place: Place) -> Sequence[str]:
    """Return the domain and the networks of the cluster."""
    settings = place.settings
    networks = [
        network
        for name in ("cluster-cidr", "service-cidr")
        for network in settings.words(name) or (FLAGS[name].default,)
    ]
    return (f".{settings.value('cluster-domain').text}", *networks)


def _advice(endpoint: Endpoint, reply: Reply, environ: Mapping[str, str]) -> tuple[str, ...]:
    if reply.state is State.NEEDS_CREDENTIALS:
        name = endpoint.name
        return (
            f"set them with: k3s-rootless registries set {name} --username NAME --password-stdin",
        )
    if reply.state is State.UNREACHABLE and endpoints.is_loopback(endpoint.host):
        return loopback.advice(endpoint, environ, heard=loopback.answers(endpoint))
    return ()
