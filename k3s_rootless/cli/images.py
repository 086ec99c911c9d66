"""`k3s-rootless images`: the container images of K3s."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Command, Group
from k3s_rootless.cli.options import json_option, yes_option


@click.group("images", cls=Group)
def command() -> None:
    """List, import, preload and remove container images.

    K3s has its own images: it does not see those of Podman or Docker.
    """


@command.command("list", cls=Command, exit_codes={3: "K3s is not running"})
@json_option
def list_(*, as_json: bool) -> None:
    """List the images, and what keeps each of them.

    The kubelet never removes a pinned image. K3s imports a preloaded image at each start.
    """
    from k3s_rootless.cli.display import images
    from k3s_rootless.operations.images.client import Client

    session = begin("images-list", as_json=as_json)
    images.show_list(session.report, Client.of(session, "images list").used(certain=False))


@command.command(
    "import",
    cls=Command,
    exit_codes={
        0: "K3s has the images",
        1: "an archive is damaged, or contains no images",
        3: "K3s is not running",
    },
)
@click.argument("files", nargs=-1, metavar="[FILE | -]...")
@click.option(
    "--from",
    "programs",
    type=(click.Choice(["podman", "docker"]), str),
    multiple=True,
    metavar="PROGRAM NAME",
    help="Import an image from podman or docker. Repeatable.",
)
@json_option
def import_(
    *, files: tuple[str, ...], programs: tuple[tuple[str, str], ...], as_json: bool
) -> None:
    """Import images from archives, or from Podman or Docker.

    Archives are those of `podman save`, `docker save` or the OCI, plain or compressed with gzip or
    zstd; `-` is standard input. The images are unpacked for the snapshotter that K3s uses.
    """
    from k3s_rootless.cli.display import images
    from k3s_rootless.operations.images import load

    session = begin("images-import", as_json=as_json)
    sources = [load.Source(name) for name in files]
    sources += [load.Source(name, program) for program, name in programs]
    images.show_imported(session.report, load.load(session, sources))


@command.command(
    "preload",
    cls=Command,
    exit_codes={
        1: "the archive is damaged, or contains no images",
        7: "another archive has this name",
    },
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace another archive with the same name.")
@json_option
def preload(*, file: Path, force: bool, as_json: bool) -> None:
    """Let K3s import an archive at each start.

    The archive is copied to the data directory of K3s. K3s does not have to run.
    """
    from k3s_rootless.cli.display import images
    from k3s_rootless.operations.images import preload as preloading

    session = begin("images-preload", as_json=as_json)
    images.show_preloaded(session.report, preloading.preload(session, file, force=force))


@command.command(
    "prune",
    cls=Command,
    exit_codes={
        1: "an image could not be removed, or the removal was not confirmed",
        2: "there is no terminal for the question, and --yes is not given",
        3: "K3s is not running",
    },
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, without doing it.")
@yes_option
@json_option
def prune(*, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove images that no container uses.

    Pinned and preloaded images are kept, and images of containers that have ended.
    """
    from k3s_rootless.cli.display import images
    from k3s_rootless.operations.images import prune as pruning

    session = begin("images-prune", as_json=as_json)
    pruned = pruning.prune(session, session.report.confirm, dry_run=dry_run, yes=yes)
    images.show_pruned(session.report, pruned)
    click.get_current_context().exit(1 if pruned.problems else 0)
