"""`k3s token` (K3s pkg/cli/token and pkg/kubeadm): bootstrap tokens are Secrets of the API."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from . import kubectl, supervisor_client
from .journal import Fatal
from .supervisor_client import option

_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_TYPE = "bootstrap.kubernetes.io/token"
_ID = re.compile(r"[a-z0-9]{6}")
_TTL = re.compile(r"(?P<count>\d+)(?P<unit>[smh]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_HEAD = "TOKEN     TTL       EXPIRES   USAGES    DESCRIPTION   EXTRA GROUPS"
_WARNING = (
    "\033[33mWARNING\033[0m: Recommended to keep a record of the old token. If restoring from a"
    " snapshot, you must use the token associated with that snapshot."
)


def run(words: list[str], data: Path) -> int:
    """Run the sub-command, and return the exit status."""
    verb = next(iter(words), "")
    if verb == "generate":
        print(_random())
        return 0
    if verb == "rotate":
        return _rotate(words, data)
    config = Path(option(words, "kubeconfig") or os.environ.get("KUBECONFIG", "") or "/")
    if config == Path("/"):
        config = Path("/etc/rancher/k3s/k3s.yaml")
    if not config.exists():
        raise Fatal(f"stat {config}: no such file or directory")
    os.environ["KUBECONFIG"] = str(config)
    if verb == "list":
        _list(as_json=option(words, "output", "o") == "json")
    elif verb == "create":
        _create(words)
    elif verb == "delete":
        _delete([word for word in words[1:] if not word.startswith("-")])
    return 0


def _rotate(words: list[str], data: Path) -> int:
    # The data directory of the command line is ignored (K3s pkg/cli/token, ResolveDataDir("")).
    default = Path.home() / ".rancher" / "k3s" / "server" / "token"
    given = option(words, "token", "t") or os.environ.get("K3S_TOKEN", "")
    token = given or default.read_text().strip()
    del data
    server = option(words, "server", "s") or os.environ.get("K3S_URL", "")
    print(_WARNING)
    request = {"newToken": option(words, "new-token")}
    supervisor_client.call(
        server or supervisor_client.DEFAULT, token, "PUT", "/v1-k3s/token", request
    )
    print("Token rotated, restart k3s nodes with new token")
    return 0


def _list(*, as_json: bool) -> None:
    items = json.loads(_request(f"{_SECRETS}?fieldSelector=type={_TYPE}"))["items"]
    found = [_token(item) for item in items]
    if as_json:
        # K3s's type of a token has no JSON form (its pkg/kubeadm/types.go).
        print(json.dumps([{**one, "token": {}} for one in found]))
        return
    print(_HEAD)
    for one in found:
        expires = one.get("expires", "<never>")
        print(f"{one['token'][:6]}    {expires}   {one.get('description', '<none>')}")


def _create(words: list[str]) -> None:
    text = _random()
    identifier, _, secret = text.partition(".")
    data = {
        "token-id": identifier,
        "token-secret": secret,
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": "system:bootstrappers:k3s:default-node-token",
    }
    given = option(words, "ttl") or "24h"
    ttl = _TTL.fullmatch(given)
    if ttl is None:
        raise Fatal(f'invalid value "{given}" for flag -ttl: parse error')
    if seconds := int(ttl["count"]) * _UNITS[ttl["unit"]]:
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        data["expiration"] = f"{expires:%Y-%m-%dT%H:%M:%SZ}"
    if description := option(words, "description"):
        data["description"] = description
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    name = f"bootstrap-token-{identifier}"
    secret_object = {"metadata": {"name": name}, "type": _TYPE, "data": encoded}
    _request(_SECRETS, "POST", secret_object)
    config = yaml.safe_load(kubectl.kubeconfig().read_text())
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"])
    print(f"K10{hashlib.sha256(authority).hexdigest()}::{text}")


def _delete(tokens: list[str]) -> None:
    if not tokens:
        raise Fatal("missing argument; 'token delete' is missing token")
    for one in tokens:
        identifier = one.partition(".")[0]
        if not _ID.fullmatch(identifier):
            pattern = r"\A([a-z0-9]{6})\z"
            raise Fatal(f'given token didn\'t match pattern "{pattern}"')
        try:
            _request(f"{_SECRETS}/bootstrap-token-{identifier}", "DELETE")
        except Fatal as error:
            named = f'failed to delete bootstrap token "{identifier}": '
            raise Fatal(named + error.message) from None
        print(f'bootstrap token "{identifier}" deleted')


def _token(item: dict[str, Any]) -> dict[str, Any]:
    data = {key: base64.b64decode(value).decode() for key, value in item["data"].items()}
    found: dict[str, Any] = {"token": f"{data['token-id']}.{data['token-secret']}"}
    if "description" in data:
        found["description"] = data["description"]
    if "expiration" in data:
        found["expires"] = data["expiration"]
    return found | {
        "usages": ["authentication", "signing"],
        "groups": [data["auth-extra-groups"]],
    }


def _request(path: str, method: str = "GET", body: object = None) -> bytes:
    code, answer = kubectl.request(path, method, body)
    if code >= 300:
        raise Fatal(str(json.loads(answer)["message"]))
    return answer


def _random() -> str:
    letters = string.ascii_lowercase + string.digits
    parts = ("".join(secrets.choice(letters) for _ in range(count)) for count in (6, 16))
    return ".".join(parts)
