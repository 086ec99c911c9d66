"""Get the release that `up` starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations import k3s_search
from k3s_rootless.operations.releases.get import Request, get
from k3s_rootless.operations.releases.use import use

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Limits
    from k3s_rootless.operations.context import Context


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


def _is_there(context: Context) -> bool:
    found = k3s_search.located(context)
    if found.path is None or found.risk:
        return False
    context.notice(f"nothing is downloaded: {found.path} is there")
    return True
