"""Request a registry as containerd does: TLS, `/v2/`, and authentication with a token or not.

The steps are those of containerd core/remotes/docker/authorizer.go and the registry API
(OCI distribution specification, section "Determining Support").
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from k3s_rootless import web_address, web_request
from k3s_rootless.errors import PeerError
from k3s_rootless.node.registries import challenge, proxies
from k3s_rootless.node.registries.endpoints import DEFAULT_PORTS
from k3s_rootless.node.registries.facts import Endpoint, Proxies, Reply, State, Tls
from k3s_rootless.printable import printable
from k3s_rootless.web_request import Way

if TYPE_CHECKING:
    from k3s_rootless.node.registries.challenge import Challenge
    from k3s_rootless.web_request import Response

STEP_SECONDS = 10.0
_LONGEST = 160
_PLAIN_HTTP = "WRONG_VERSION_NUMBER"


class _Ended(Exception):
    """The request is over; `reply` is its result."""

    def __init__(self, state: State, detail: str, authentication: str = "") -> None:
        super().__init__(detail)
        self.reply = Reply(state, detail, authentication)


def request(endpoint: Endpoint, found: Proxies, seconds: float = STEP_SECONDS) -> Reply:
    """Return what an endpoint answers; never raises for what the endpoint does."""
    try:
        client = _Client(endpoint, found, seconds)
        return client.reply()
    except _Ended as ended:
        return ended.reply


class _Client:
    def __init__(self, endpoint: Endpoint, found: Proxies, seconds: float) -> None:
        self._endpoint = endpoint
        self._proxies = found
        self._seconds = seconds
        self._context = _context(endpoint.config.tls)

    def reply(self) -> Reply:
        answer = self._get(self._endpoint.url, None)
        if answer.status != 401:
            return _judged(answer, "none")
        known = challenge.read(answer.header("www-authenticate"))
        if not known:
            return Reply(State.OTHER, "status 401 without a challenge that containerd knows")
        first = known[0]
        authorization = self._authorization(first)
        again = self._get(self._endpoint.url, authorization)
        if again.status in {401, 403}:
            text = f"{_user(self._endpoint)} is refused with status {again.status}"
            return Reply(State.DENIED, text, first.scheme)
        return _judged(again, first.scheme)

    def _authorization(self, first: Challenge) -> str:
        credentials = self._endpoint.config.credentials
        if first.scheme == "basic":
            if not credentials.given:
                raise _Ended(
                    State.NEEDS_CREDENTIALS, "it requires a user name and a password", "basic"
                )
            return _basic(credentials.username, credentials.password)
        return f"Bearer {self._token(first)}"

    def _token(self, first: Challenge) -> str:
        """Return a token of the server that the challenge names; see challenge.token_address."""
        credentials = self._endpoint.config.credentials
        try:
            address = challenge.token_address(first)
        except ValueError as error:
            raise _Ended(State.OTHER, str(error), "bearer") from None
        answer = self._get(address, self._authorization_for_token(address))
        host = web_address.split(address).hostname or ""
        if answer.status in {400, 401, 403}:
            state = State.DENIED if credentials.given else State.NEEDS_CREDENTIALS
            text = f"{_user(self._endpoint)} gets no token from {host} (status {answer.status})"
            raise _Ended(state, text, "bearer")
        token = _token_in(answer)
        if not token:
            text = f"{host} issues no token (status {answer.status})"
            raise _Ended(State.OTHER, text, "bearer")
        return token

    def _authorization_for_token(self, address: str) -> str | None:
        credentials = self._endpoint.config.credentials
        if not credentials.given:
            return None
        if credentials.identity and not credentials.username:
            text = "identity tokens are not tested; K3s may be able to pull images"
            raise _Ended(State.UNKNOWN, text, "bearer")
        if self._endpoint.scheme == "https" and not address.startswith("https:"):
            text = "it asks for the password without TLS; the password is not sent"
            raise _Ended(State.TLS, text, "bearer")
        return _basic(credentials.username, credentials.password)

    def _get(self, url: str, authorization: str | None) -> Response:
        address = web_address.split(url)
        port = address.port or DEFAULT_PORTS[address.scheme]
        proxy = proxies.chosen(self._proxies, address.scheme, address.hostname or "", port)
        through = ""
        if proxy:
            try:
                through = f" (through the proxy {web_address.split(proxy).hostname})"
            except ValueError as error:
                text = f"the address of its proxy cannot be used: {error}"
                raise _Ended(State.UNREACHABLE, text) from None
        headers = {}
        if authorization:
            headers["Authorization"] = authorization
        try:
            return web_request.get(url, Way(self._context, self._seconds, proxy), headers)
        except ssl.SSLError as error:
            raise _Ended(State.TLS, f"{_tls_reason(error)}{through}") from None
        except PeerError as error:
            raise _Ended(State.OTHER, f"{printable(error.message)}{through}") from None
        except (OSError, ValueError) as error:
            raise _Ended(State.UNREACHABLE, f"{_reason(error)}{through}") from None


def _judged(answer: Response, scheme: str) -> Reply:
    kind = " ".join(answer.header("content-type")).partition(";")[0].strip().lower()
    api = answer.header("docker-distribution-api-version")
    if answer.status == 200 and (api or kind != "text/html"):
        return Reply(State.READY, "the registry answers", scheme)
    if answer.status == 200:
        return Reply(State.OTHER, "a web page answers, not the API of a registry", scheme)
    if answer.status == 400 and b"HTTPS" in answer.body:
        return Reply(State.TLS, "the server expects TLS, and the endpoint starts with http", scheme)
    return _other(answer, scheme)


def _other(answer: Response, scheme: str) -> Reply:
    if answer.status == 404:
        return Reply(State.OTHER, "there is no registry API at this address (status 404)", scheme)
    if answer.status == 403:
        return Reply(State.DENIED, "access is refused with status 403", scheme)
    text = f"status {answer.status}"
    where = answer.header("location")
    if where:
        text = f"{text}, a redirect to {_host(where[0])}"
    return Reply(State.OTHER, printable(text), scheme)


def _host(location: str) -> str:
    try:
        return web_address.split(location).hostname or location[:_LONGEST]
    except ValueError:
        return "an address that is not valid"


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
    except (OSError, ValueError) as error:
        raise _Ended(State.TLS, f"cannot load the authorities of the system: {error}") from error
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.authority:
        _load("ca_file", tls.authority, lambda: context.load_verify_locations(tls.authority))
    if tls.certificate and tls.key:
        _load(
            "cert_file", tls.certificate, lambda: context.load_cert_chain(tls.certificate, tls.key)
        )
    return context


def _load(key: str, path: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError:
        raise _Ended(State.TLS, f"`{key}` {path} is not a valid PEM file") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _Ended(
            State.TLS, f"cannot read `{key}` {path} in K3s's namespaces: {reason}"
        ) from None


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _user(endpoint: Endpoint) -> str:
    username = endpoint.config.credentials.username
    if username:
        return f"the user {printable(username)}"
    return "a request without credentials"


def _token_in(answer: Response) -> str:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    token = document.get("token") or document.get("access_token") or ""
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        return ""
    return token


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {printable(error.verify_message)}"
    if error.reason == _PLAIN_HTTP:
        return "the server does not speak TLS, and the endpoint starts with https"
    reason = (error.reason or "unexpected data").replace("_", " ").lower()
    return f"the TLS handshake failed: {printable(reason)}"


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved: {(error.strerror or str(error)).lower()}"
    if isinstance(error, TimeoutError):
        return "no answer within the time limit"
    reason = getattr(error, "strerror", None) or str(error)
    return printable(reason.lower())[:_LONGEST]
