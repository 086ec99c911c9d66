"""The request with which containerd begins to pull an image, through the proxy of its environment.

containerd gets the environment of K3s. A variable with the prefix CONTAINERD_ replaces the one
without (K3s pkg/agent/containerd/containerd.go). K3s adds the networks and the domain of the
cluster to NO_PROXY, but not to CONTAINERD_NO_PROXY (pkg/server/server.go).
"""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

from .journal import Journal

_PREFIX = "CONTAINERD_"
_SECONDS = 10
_OF_CLUSTER = ".svc,.cluster.local,10.42.0.0/16,10.43.0.0/16"


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of containerd."""
    lists = (given.get("NO_PROXY", ""), given.get("no_proxy", ""), _OF_CLUSTER)
    own = {name: value for name, value in given.items() if name != "no_proxy"}
    own["NO_PROXY"] = ",".join(filter(None, lists))
    for name, value in given.items():
        if name.startswith(_PREFIX):
            own[name.removeprefix(_PREFIX)] = value
    return own


def request(url: str, given: Mapping[str, str], journal: Journal) -> None:
    """Send the request, and write the result to the journal."""
    found = environment(given)
    parts = urllib.parse.urlsplit(url)
    scheme = parts.scheme
    proxy = found.get(f"{scheme}_proxy".upper()) or found.get(f"{scheme}_proxy")
    direct = (parts.hostname or "").endswith(tuple(found["NO_PROXY"].split(",")))
    proxies = {} if direct or not proxy else {scheme: proxy}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    try:
        opener.open(url, timeout=_SECONDS).close()
    except (OSError, urllib.error.URLError) as error:
        # Go removes the password from such a message.
        journal.error(f'PullImage failed: failed to do request: Head "{url}": {error}')
    else:
        journal.info(f"Pulled {url}")
