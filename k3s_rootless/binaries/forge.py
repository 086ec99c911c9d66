"""The digest that the forge itself computed for an asset: a second opinion about a download.

GitHub shows a digest for each asset that was uploaded since June 2025. Without an account it
answers 60 requests an hour from one address, so that no answer is normal.
"""

from __future__ import annotations

import json
import re
from typing import Any

from k3s_rootless.binaries import https, tags, urls
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.json_fields import each, field, optional, parsing, typed
from k3s_rootless.observation import Known, Observed, Unknown

_LARGEST = 4 * 1024 * 1024
_DIGEST = re.compile(r"sha256:(?P<sha256>[0-9a-f]{64})", re.ASCII)
_LIMITED = frozenset({403, 429})


def digest(client: https.Client, api: str, tag: str, name: str) -> Observed[str]:
    """Return the SHA-256 that the forge shows for an asset of a release."""
    host = urls.host_of(api)
    try:
        answer = client.document(f"{api}/{tags.in_url(tag)}", _LARGEST)
        if answer.status in _LIMITED:
            return Unknown(f"{host} refuses more requests for now (HTTP status {answer.status})")
        if answer.status != 200:
            return Unknown(f"{host} answered with HTTP status {answer.status}")
        return _shown(answer.text, host, name)
    except RootlessError as error:
        return Unknown(error.message)


def _shown(text: str, host: str, name: str) -> Observed[str]:
    try:
        with parsing(f"the release of {host}"):
            assets = each(typed(json.loads(text), dict), "assets", _asset)
    except PeerError as error:
        return Unknown(error.message)
    shown = dict(assets).get(name)
    if shown is None or (found := _DIGEST.fullmatch(shown)) is None:
        return Unknown(f"{host} shows no SHA-256 for {name}")
    return Known(found["sha256"], host)


def _asset(value: Any) -> tuple[str, str | None]:  # noqa: ANN401 (untyped JSON)
    one = typed(value, dict)
    return field(one, "name", str), optional(one, "digest", str)
