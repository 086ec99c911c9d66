"""The channel server: which release a channel offers.

The server answers `GET /channels/NAME` with 302 and the page of a release (rancher/channelserver,
pkg/server/store/channel). Only its Location is read: the page itself is HTML of another site.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from k3s_rootless.binaries import https, tags, urls
from k3s_rootless.binaries.facts import Answers, Channel
from k3s_rootless.errors import PeerError
from k3s_rootless.json_fields import each, field, optional, parsing, typed
from k3s_rootless.printable import printable

_LARGEST = 1024 * 1024
_MOST_CHANNELS = 1000


class UnknownChannel(PeerError):
    """The server has no channel with this name."""


def latest(client: https.Client, server: str, channel: str) -> str:
    """Return the release that a channel offers. Raises UnknownChannel, PeerError."""
    answer = client.document(f"{server}/{channel}", _LARGEST, follow=False)
    host = urls.host_of(server)
    if answer.status == 404:
        raise UnknownChannel(f"{host} has no channel `{channel}`", status=404)
    _require_no_fault(host, answer)
    tag = tags.of_location(answer.location)
    if 300 <= answer.status < 400 and tag is not None:
        return tag
    raise PeerError(
        f"cannot read the channel `{channel}`: {_description(host, answer)}",
        status=answer.status,
        hint="if a proxy has a login page, log in there; or name a release: k3s-rootless release"
        " get VERSION",
    )


def listed(client: https.Client, server: str) -> Answers:
    """Return all channels of a server. Raises PeerError."""
    answer = client.document(server, _LARGEST)
    host = urls.host_of(server)
    _require_no_fault(host, answer)
    if answer.status != 200 or answer.is_page:
        raise PeerError(
            f"cannot list the channels: {_description(host, answer)}", status=answer.status
        )
    with parsing(f"the channels of {host}"):
        parsed = typed(json.loads(answer.text), dict)
        found = each(parsed, "data", _channel)
    valid = [one for one in found[:_MOST_CHANNELS] if one is not None]
    return Answers(server, datetime.now(UTC), tuple(valid))


def _channel(value: Any) -> Channel | None:  # noqa: ANN401 (untyped JSON)
    """Read a channel; None for a name or a release that cannot be used."""
    one = typed(value, dict)
    name = field(one, "id", str)
    latest_tag = optional(one, "latest", str) or None
    if not isinstance(tags.parse(name), tags.Named):
        return None
    if latest_tag is not None and not tags.is_tag(latest_tag):
        return None
    return Channel(name, latest_tag)


def _require_no_fault(host: str, answer: https.Document) -> None:
    if answer.status >= 500 or answer.status == 429:
        raise https.Transient(
            f"{host} cannot answer now (HTTP status {answer.status})", status=answer.status
        )


def _description(host: str, answer: https.Document) -> str:
    if answer.is_page:
        return f"{host} sent a web page (HTTP status {answer.status})"
    if answer.location:
        where = printable(answer.location, 120)
        return f"{host} redirects to {where}, which is not a release of K3s"
    return f"{host} sent an unexpected answer (HTTP status {answer.status})"
