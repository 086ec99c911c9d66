"""Get the release that `up` starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.binaries.facts import Limits
from k3s_rootless.binaries.https import Client
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import k3s_search
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.releases import resolve, servers
from k3s_rootless.operations.releases.get import STABLE, Request, get, require_architecture
from k3s_rootless.operations.releases.published import Published
from k3s_rootless.operations.releases.use import use

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

_LOOK_UP = Limits(connect=5.0, read=5.0, document=10.0, pauses=())
"""The limits of what is queried before the question: a user waits for it."""


def bring(context: Context, wanted: str, limits: Limits | None = None) -> None:
    """Get a release and use it; without a name, get the stable one if there is no k3s.

    Raises the errors of `get` and `use`.
    """
    context.require_ordinary_user()
    if not wanted and _is_there(context):
        return
    got = get(context, Request(wanted or None), limits)
    version = got.record.version
    use(context, version)
    context.notice(f"K3s {version} is verified and in use: {got.path}")


def offer(context: Context, ask: Ask, limits: Limits | None = None) -> None:
    """Ask whether the stable release should be downloaded, and get and use it on consent.

    If no server answers, there is no question. Raises the errors of `bring`.
    """
    context.require_ordinary_user()
    try:
        found = _stable(context)
        size = found.size()
    except RootlessError as error:
        context.notice(f"cannot look up the stable release of K3s: {error.message}")
        return
    described = f"K3s {found.version}"
    if size is not None:
        described += f" ({byte_size.text(size)})"
    source = found.source.downloads
    question = f"K3s is not installed. Download {described} from {source}, verify it and use it?"
    if ask(question):
        bring(context, found.version, limits)


def _stable(context: Context) -> Published:
    architecture = require_architecture()
    source = servers.source(context)
    client = Client(context.environ, _LOOK_UP)
    version = resolve.release(context, client, source, STABLE)
    return Published(context, client, source, version, architecture)


def _is_there(context: Context) -> bool:
    found = k3s_search.located(context)
    if found.path is None or found.risk:
        return False
    context.notice(f"nothing is downloaded: {found.path} is there")
    return True
