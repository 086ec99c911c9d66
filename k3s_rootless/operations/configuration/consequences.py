"""Report what a change of settings also changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.k3s import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.drop_ins.configuration import Configuration

_STARGZ = ("stargz",)
_FORWARDED_BY_TRAEFIK = {"10080": "80", "10443": "443"}


def report(
    context: Context,
    before: Configuration,
    configured: Configuration,
    changes: Mapping[str, Sequence[str]],
) -> None:
    """Report other consequences of a change."""
    for name in changes:
        option = options.OPTIONS.get(name)
        if option is not None and option.note and configured.get(name):
            context.notice(f"{name}: {option.note}")
    _report_logging(context, configured, changes)
    if "snapshotter" in changes:
        _report_stargz(context, before, configured)
    disabled = set(configured.get("disable", ()))
    if "disable" in changes:
        for one in disabled - set(options.COMPONENTS):
            context.notice(
                f"disable: K3s has no packaged component `{one}`; only an AddOn of yours with this"
                " name is disabled"
            )
        if "servicelb" in disabled:
            context.notice(
                "disable: without servicelb, K3s forwards only the port of the API server"
            )
    port = configured.get("https-listen-port", ("",))[0]
    if port in _FORWARDED_BY_TRAEFIK and disabled.isdisjoint(("traefik", "servicelb")):
        inside = _FORWARDED_BY_TRAEFIK[port]
        context.notice(
            f"https-listen-port: K3s also forwards port {inside} of traefik to host port {port},"
            " and does not report the conflict"
        )


def _report_stargz(context: Context, before: Configuration, configured: Configuration) -> None:
    if configured.get("snapshotter") == _STARGZ:
        context.notice(
            "snapshotter: stargz pulls images in eStargz format as they are read, and needs"
            " overlayfs in a user namespace and /dev/fuse; check both after this with:"
            " k3s-rootless check snapshotter device.fuse"
        )
    elif before.get("snapshotter") == _STARGZ:
        context.notice(
            "snapshotter: containerd still reads images that were pulled lazily from their"
            " registry when it starts, without the settings of registries.yaml; remove them before"
            " the restart: k3s-rootless k3s crictl rmi IMAGE"
        )


def _report_logging(
    context: Context, configured: Configuration, changes: Mapping[str, Sequence[str]]
) -> None:
    """Report what the journal contains with these settings of the log."""
    if not {"log", "alsologtostderr"} & set(changes):
        return
    file = configured.get("log", ("",))[0]
    both = configured.get("alsologtostderr", ("false",))[0] == "true"
    if not file and both:
        context.notice("alsologtostderr: it has no effect without `log`")
    if file and both:
        context.notice(f"log: K3s writes its log to {file}, and to the journal, too")
    if file and not both:
        context.notice(
            f"log: K3s writes its log to {file} only: the journal has the lines of systemd, and"
            " `diagnose` reads the file; show it with: k3s-rootless logs --file"
        )
    if file:
        context.notice(
            "log: the file is rotated at 50 MB; K3s keeps three earlier ones for 28 days"
        )
