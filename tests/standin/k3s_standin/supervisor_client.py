"""Requests of sub-commands to the supervisor of K3s (K3s pkg/clientaccess)."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from . import kept
from .journal import Fatal

DEFAULT = "https://127.0.0.1:6443"
_SECONDS = 60


def ping(server: str) -> None:
    """Query whether the server answers."""
    _send(server, "GET", "/ping", {}, None)


def call(server: str, token: str, method: str, path: str, body: Any = None) -> bytes:
    """Send a request with the password of a token, and return the answer.

    Raises Fatal with the message of the server.
    """
    credentials = base64.b64encode(f"server:{kept.token_of(token)}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    code, found = _send(server, method, path, headers, body)
    if code != 200:
        raise Fatal(str(json.loads(found)["message"]))
    return found


def option(words: list[str], *names: str) -> str:
    """Return the value of an option; empty if it is not given."""
    forms = {f"{'-' if len(name) == 1 else '--'}{name}" for name in names}
    for at, word in enumerate(words):
        form, equals, value = word.partition("=")
        if form in forms:
            return value if equals else "".join(words[at + 1 : at + 2])
    return ""


def _send(
    server: str, method: str, path: str, headers: dict[str, str], body: Any
) -> tuple[int, bytes]:
    """Send a request; K3s's clients verify the server by the hash in the token instead."""
    address = urlsplit(server)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        str(address.hostname), address.port, timeout=_SECONDS, context=context
    )
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, socket.gaierror) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise Fatal(f'Get "{server}/cacerts": dial tcp {address.netloc}: connect: {why}') from None
    finally:
        connection.close()
