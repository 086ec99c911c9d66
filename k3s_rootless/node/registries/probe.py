"""Request registries from inside K3s's namespaces, in one short process.

The process reads the endpoints as JSON from standard input, with their credentials, which must not
be in a command line, and prints the replies as JSON: `python -m k3s_rootless.node.registries.probe`
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from k3s_rootless import command
from k3s_rootless.errors import RootlessError
from k3s_rootless.node import inside
from k3s_rootless.node.facts import Invocation
from k3s_rootless.node.inside import Node
from k3s_rootless.node.registries import requesting
from k3s_rootless.node.registries.facts import (
    Config,
    Credentials,
    Endpoint,
    Proxies,
    Reply,
    State,
    Tls,
)

MODULE = "k3s_rootless.node.registries.probe"
ALL_SECONDS = 45.0
_LATE = Reply(State.UNKNOWN, f"no result within {ALL_SECONDS:g} s")
_MOST = 200


def replies(
    node: Node, endpoints: Sequence[Endpoint], proxies: Proxies, environ: Mapping[str, str]
) -> tuple[Reply, ...]:
    """Return the replies of the endpoints, in their order. Raises RootlessError."""
    argv = command.module(MODULE)
    given = {"endpoints": [asdict(one) for one in endpoints[:_MOST]], "proxies": asdict(proxies)}
    text = json.dumps(given).encode()

    def produce(write: Callable[[bytes], object]) -> None:
        write(text)

    invocation = Invocation(argv, environ, inside=True)
    printed = inside.run(node, invocation, produce, timeout=2 * ALL_SECONDS)
    try:
        found = [_reply(one) for one in json.loads(printed)]
    except (ValueError, KeyError, TypeError) as error:
        raise RootlessError(
            "cannot request the registries: the process in K3s's namespaces printed no result"
        ) from error
    return (*found, *[_LATE] * (len(endpoints) - len(found)))


def main() -> None:
    """Request the endpoints of standard input, at the same time, and print the replies."""
    given = json.load(sys.stdin)
    found = Proxies(**given["proxies"])
    endpoints = [_endpoint(one) for one in given["endpoints"]]
    results = [_LATE] * len(endpoints)

    def work(at: int) -> None:
        results[at] = requesting.request(endpoints[at], found)

    threads = [
        threading.Thread(target=work, args=(at,), daemon=True) for at in range(len(endpoints))
    ]
    deadline = time.monotonic() + ALL_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    documents = [{**asdict(one), "state": one.state.value} for one in results]
    os.write(1, json.dumps(documents).encode())
    os._exit(0)  # a server that never answers must not delay the exit


def _endpoint(given: Any) -> Endpoint:  # noqa: ANN401 (JSON)
    config = given.pop("config")
    settings = Config(Credentials(**config["credentials"]), Tls(**config["tls"]))
    return Endpoint(**given, config=settings)


def _reply(given: Any) -> Reply:  # noqa: ANN401 (JSON)
    return Reply(State(given["state"]), str(given["detail"]), str(given["authentication"]))


if __name__ == "__main__":
    main()
