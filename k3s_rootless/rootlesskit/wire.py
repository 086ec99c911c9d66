"""Parse and validate the JSON of rootlesskit's API."""

from __future__ import annotations

import json

from k3s_rootless import json_fields
from k3s_rootless.json_fields import InvalidField, Json, field, inside, optional, typed
from k3s_rootless.rootlesskit.facts import Forward, RootlessKit

MOST_FORWARDS = 2 * 65535
"""Each port of both protocols; K3s never sets a parent IP."""


def forwards(body: bytes) -> tuple[Forward, ...]:
    """Parse the answer to `GET /v1/ports`; Go writes null for an empty list. Raises PeerError.

    Elements are decoded one by one, so that a long answer with other content needs no memory.
    """
    with json_fields.parsing("rootlesskit's list of forwards"):
        text = body.decode("utf-8")
        if text.strip() == "null":
            return ()
        found = []
        for number, element in enumerate(json_fields.elements(text)):
            if number >= MOST_FORWARDS:
                raise InvalidField(f"it has more than {MOST_FORWARDS} elements")
            with inside(str(number)):
                found.append(_forward(field(typed(element, dict), "spec", dict)))
        return tuple(found)


def info(body: bytes) -> RootlessKit:
    """Parse the answer to `GET /v1/info`. Raises PeerError."""
    with json_fields.parsing("the information of rootlesskit"):
        content = typed(json.loads(body), dict)
        network, port = (
            optional(content, "networkDriver", dict),
            optional(content, "portDriver", dict),
        )
        return RootlessKit(
            version=optional(content, "version", str),
            state_directory=optional(content, "stateDir", str),
            child_pid=optional(content, "childPID", int),
            network_driver=(optional(network, "driver", str) or "")
            if network is not None
            else None,
            port_driver=(optional(port, "driver", str) or "") if port is not None else None,
            child_ip=optional(network, "childIP", str) if network is not None else None,
        )


def _forward(spec: Json) -> Forward:
    proto, parent_ip, child_ip = (
        field(spec, "proto", str),
        optional(spec, "parentIP", str),
        optional(spec, "childIP", str),
    )
    return Forward(
        proto,
        parent_ip or "",
        json_fields.port(spec, "parentPort"),
        json_fields.port(spec, "childPort"),
        child_ip or "",
    )
