"""`k3s-rootless release`: the releases of K3s on this host."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import json_option, mirror_option


@click.group("release", cls=Group)
def command() -> None:
    """Download, verify, list and switch releases of K3s.

    Releases are kept in ~/.local/share/k3s-rootless (XDG_DATA_HOME), and need no root. A
    release that was chosen with `use` replaces a k3s in PATH.
    """


@command.command(
    "list",
    cls=Command,
    exit_codes={1: "the channel server could not be queried; the rest is shown"},
)
@click.option("--remote", is_flag=True, help="Query what each channel offers now.")
@click.option("--history", is_flag=True, help="Also list the upgrades and rollbacks.")
@json_option
def list_(*, remote: bool, history: bool, as_json: bool) -> None:
    """List the releases on this host, and what channels offer.

    Without --remote, no server is queried: the last known answer is shown with its date.
    """
    from k3s_rootless.cli.display import release
    from k3s_rootless.operations.releases import listing

    session = begin("release-list", as_json=as_json)
    found = listing.listing(session, remote=remote)
    if history:
        found = listing.with_history(session, found)
    release.show_list(session.report, found)
    click.get_current_context().exit(0 if found.problem is None else 1)


@command.command(
    "get",
    cls=Command,
    exit_codes={
        0: "the release is verified and on this host",
        1: "it cannot be downloaded, or it is not the file that was published",
        2: "the name is neither a release nor a channel",
        5: "there is too little space, or other users could change the directory",
        8: "there are no releases for this machine",
    },
)
@click.argument("wanted", metavar="[VERSION | CHANNEL]", required=False)
@click.option(
    "--airgap-images",
    "images",
    is_flag=True,
    help="Also get the container images of K3s, and place them where K3s imports them.",
)
@mirror_option
@click.option(
    "--file",
    "file",
    metavar="K3S",
    type=click.Path(path_type=Path),
    help="Use this file instead of a download.",
)
@click.option(
    "--checksums",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The checksum file of the same release, for --file.",
)
@json_option
def get(
    *,
    wanted: str | None,
    images: bool,
    mirror: str | None,
    file: Path | None,
    checksums: Path | None,
    as_json: bool,
) -> None:
    """Download and verify a release.

    The default is the channel `stable`. Other channels are `latest` and minor releases such as
    `v1.36`; a release is named like `v1.36.3+k3s1`. If no release is in use yet, this one is used.

    The SHA-256 of the file must be the one in the checksum file of the release. An interrupted
    download continues at the next run. SSL_CERT_FILE, HTTPS_PROXY, NO_PROXY and
    INSTALL_K3S_ARTIFACT_URL are respected.
    """
    from k3s_rootless.cli.display import release
    from k3s_rootless.operations.releases import get as getting

    session = begin("release-get", as_json=as_json)
    request = getting.Request(wanted, mirror, images, file, checksums)
    release.show_got(session.report, getting.get(session, request))


@command.command(
    "use",
    cls=Command,
    exit_codes={
        1: "the release is not on this host, or is not the file that was verified",
        2: "this is not the name of a release",
    },
)
@click.argument("version")
@json_option
def use(*, version: str, as_json: bool) -> None:
    """Use another release on this host.

    A running K3s is not restarted: the release takes effect at the next start of K3s.
    """
    from k3s_rootless.cli.display import release
    from k3s_rootless.operations.releases import use as using

    session = begin("release-use", as_json=as_json)
    release.show_used(session.report, using.use(session, version))


@command.command("prune", cls=Command, exit_codes={1: "something could not be removed"})
@click.option("--dry-run", is_flag=True, help="Show what would be removed, without doing it.")
@json_option
def prune(*, dry_run: bool, as_json: bool) -> None:
    """Remove releases and unpacked files that are not needed.

    The release in use and the one before it are kept. K3s unpacks each release to about 200 MB in
    its data directory; those files are removed only while K3s is stopped.
    """
    from k3s_rootless.cli.display import release
    from k3s_rootless.operations.releases import prune as pruning

    session = begin("release-prune", as_json=as_json)
    pruned = pruning.prune(session, dry_run=dry_run)
    release.show_pruned(session.report, pruned)
    click.get_current_context().exit(1 if pruned.problems else 0)
