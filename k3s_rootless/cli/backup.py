"""`k3s-rootless backup`: create, list, verify, restore and schedule backups of the cluster."""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.begin import begin
from k3s_rootless.cli.help import Group
from k3s_rootless.cli.options import dry_run_option, json_option, progress_option, yes_option
from k3s_rootless.errors import UsageError

_FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


@click.group("backup", cls=Group)
def command() -> None:
    """Create, verify and restore backups of the cluster."""


@command.command(
    "create",
    exit_codes={
        0: "the backup is written",
        1: "no backup can be created",
        4: "the backup is written, but K3s was not ready in time after --stop",
        7: "the file exists; use --force to replace it",
    },
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write to this file, or to a new file in this directory.",
)
@click.option(
    "--live/--stop",
    default=True,
    show_default=True,
    help="Copy the files while K3s runs, or stop K3s for the copy and start it again.",
)
@click.option("--volumes", is_flag=True, help="Include the volumes of pods.")
@click.option("--images", is_flag=True, help="Include the archives of images for K3s's start.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Create a scheduled backup, and delete older scheduled ones except the last N.",
)
@json_option
def create(
    *,
    output: Path | None,
    live: bool,
    volumes: bool,
    images: bool,
    force: bool,
    keep: int | None,
    as_json: bool,
) -> None:
    """Create a backup of the cluster.

    Contains the datastore, the token, certificates and keys, your manifests, and the configuration
    of K3s. Volumes are copied as they are while K3s runs, so that files in them may not match each
    other; with --stop they do.

    The file contains secrets: everyone who can read it can control the cluster.
    """
    from k3s_rootless.cli.display import backup as display
    from k3s_rootless.operations.backup import create as operation

    session = begin("backup-create", as_json=as_json)
    request = operation.Request(output, stop=not live, force=force, volumes=volumes, images=images)
    if keep is None:
        display.show_created(session.report, operation.create(session, request))
        return
    if output is not None:
        raise UsageError("cannot use --keep with -o: only the directory of backups has a schedule")
    from k3s_rootless.operations.backup import scheduled

    created, deleted = scheduled.run(session, request, keep)
    display.show_created(session.report, created, deleted)


@command.command("list", exit_codes={0: "the list is shown"})
@json_option
def list_(*, as_json: bool) -> None:
    """List the backups, the oldest first.

    Reads only the list of contents of each backup. To check a whole backup, use `backup verify`.
    """
    from k3s_rootless.cli.display import backup as display
    from k3s_rootless.operations.backup import kept

    session = begin("backup-list", as_json=as_json)
    found = kept.kept(session)
    display.show_list(session.report, session.paths.backups, found)
    session.report.document(kept.list_document(session, found))


@command.command(
    "verify", exit_codes={0: "the backup is complete and undamaged", 1: "it is not usable"}
)
@_FILE
@json_option
def verify(*, file: Path, as_json: bool) -> None:
    """Check that a backup is complete and undamaged.

    Reads all of it, compares checksums, and checks the datastore. FILE is a path, or a name in the
    directory of backups.
    """
    from k3s_rootless.cli.display import backup as display
    from k3s_rootless.operations.backup import kept

    session = begin("backup-verify", as_json=as_json)
    found = kept.verified(session, kept.path_of(session, file))
    display.show_verified(session.report, found)
    session.report.document(kept.verify_document(found))


@command.command(
    "restore",
    exit_codes={
        0: (
            "K3s is ready with the backup; for --abort: the earlier state is put back; for"
            " --dry-run: the backup can be restored"
        ),
        1: "the backup cannot be used, or K3s did not get ready and the earlier state is put back",
        2: "no terminal to ask for confirmation, and no --yes",
        3: "K3s is not installed",
    },
)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@yes_option
@click.option("--dry-run", is_flag=True, help="Check the backup and show what would change.")
@click.option(
    "--volumes/--no-volumes",
    default=True,
    show_default=True,
    help="Restore volumes, and require data for each one; or leave those of this host as they are.",
)
@click.option("--continue", "resume", is_flag=True, help="Finish a restore that was interrupted.")
@click.option("--abort", is_flag=True, help="Undo a restore that was interrupted.")
@progress_option
@json_option
def restore(  # noqa: PLR0913 (one for each option)
    *,
    file: Path | None,
    yes: bool,
    dry_run: bool,
    volumes: bool,
    resume: bool,
    abort: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Restore a backup, also onto another machine.

    Reads the backup completely, stops K3s, replaces its files, and starts it. If K3s exits or makes
    no progress, the earlier state is put back. Changes since the backup are lost.

    On another machine, paths are replaced and the node keeps its name. PersistentVolumes move to
    the directory here; without their data, nothing is restored.

    Restore only backups that you trust: they contain workloads and settings that K3s will run.
    """
    from k3s_rootless.cli.display import backup as display
    from k3s_rootless.operations.backup import restore as operation

    session = begin("backup-restore", as_json=as_json)
    if [file is not None, resume, abort].count(True) != 1:
        raise UsageError("cannot restore: name one of FILE, --continue and --abort")
    if dry_run and file is None:
        raise UsageError("cannot use --dry-run without FILE")
    if resume:
        done = operation.resume(session, timeout)
    elif file is None:
        done = operation.abort(session, timeout)
    else:
        request = operation.Request(file, timeout, yes=yes, volumes=volumes, dry_run=dry_run)
        done = operation.restore(session, request, session.report.confirm)
    display.show_restored(session.report, done)


@command.command(
    "schedule",
    exit_codes={
        0: "the schedule is shown or set",
        2: "a unit cannot start this k3s-rootless",
        7: "a file of the schedule was edited; use --force to replace it",
    },
)
@click.argument("every", required=False, type=click.Choice(["daily", "weekly", "off"]))
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Keep the last N scheduled backups; 7 by default.",
)
@click.option("--volumes/--no-volumes", default=None, help="Include the volumes of pods.")
@click.option("--images/--no-images", default=None, help="Include archives of images.")
@click.option("--force", is_flag=True, help="Replace edited files; a copy is kept.")
@dry_run_option
@json_option
def schedule(
    *,
    every: str | None,
    keep: int | None,
    volumes: bool | None,
    images: bool | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show or set the schedule of backups.

    Without an argument, shows the schedule, the next run and the last result. `daily` and `weekly`
    set up a timer of your user manager, which creates a backup while K3s runs. Only older scheduled
    backups are deleted, never one that you created. `off` removes the timer.

    --keep, --volumes and --images stay as they are until you set them again.

    The timer runs while your user manager does: until you log out, or always with lingering.
    """
    from k3s_rootless.cli.display import schedule as display
    from k3s_rootless.operations.backup import schedule as operation

    session = begin("backup-schedule", as_json=as_json)
    if every is None:
        if (keep, volumes, images) != (None, None, None) or force or dry_run:
            raise UsageError("cannot change the schedule: name one of daily, weekly and off")
        display.show(session.report, operation.show(session))
        return
    request = operation.Request(
        every, keep, volumes=volumes, images=images, force=force, dry_run=dry_run
    )
    display.show_changed(session.report, operation.change(session, request))
