"""Report proxies of this shell that K3s does not use, before K3s starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations.environment import reading
from k3s_rootless.service.environment import shell_proxies

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.environment.reading import ObservedEnvironment
    from k3s_rootless.service.systemd.user import UserManager


def report(context: Context, manager: UserManager) -> None:
    """Report the proxies of this shell that K3s does not use at its next start."""
    if not shell_proxies.addresses(shell_proxies.of(context.environ)):
        return
    names = shell_proxies.lacking(context.environ, assigned(reading.read(context, manager)))
    if names:
        context.notice(
            f"this shell uses a proxy ({', '.join(names)}), and K3s does not; to let K3s use it,"
            " run: k3s-rootless env import-proxy"
        )


def assigned(seen: ObservedEnvironment) -> dict[str, str]:
    """Return the proxy variables of the next start, in capitals and in lower case."""
    names = (*shell_proxies.LOWER, *shell_proxies.LOWER.values())
    found = {name: seen.resolved(name).value for name in names}
    return {name: value for name, value in found.items() if value}
