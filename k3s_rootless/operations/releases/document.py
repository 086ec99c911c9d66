"""The JSON documents of the release commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.binaries.facts import Integrity
from k3s_rootless.errors import error_document
from k3s_rootless.printable import json_time

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Answers, Channel, Passage, Release, Source
    from k3s_rootless.binaries.pruning import Item
    from k3s_rootless.operations.releases.get import Got
    from k3s_rootless.operations.releases.images import Images
    from k3s_rootless.operations.releases.listing import Listing
    from k3s_rootless.operations.releases.prune import Pruned
    from k3s_rootless.operations.releases.second_opinion import Opinion
    from k3s_rootless.operations.releases.use import Used


def of_listing(listing: Listing) -> dict[str, Any]:
    """Return the document of `release list`."""
    answers = listing.answers
    channels = None
    if answers is not None:
        channels = {
            "server": answers.server,
            "date": json_time(answers.date),
            "queried": listing.remote,
            "offers": [_offer(answers, one) for one in answers.channels],
        }
    errors = [] if listing.problem is None else [listing.problem.document()]
    found = {
        "releases": [_release(one) for one in listing.releases],
        "channels": channels,
        "downloads": None if listing.source is None else _downloads(listing.source),
        "errors": errors,
    }
    if listing.history is not None:
        found["history"] = [_passage(one) for one in listing.history]
    return found


def _passage(passage: Passage) -> dict[str, Any]:
    return {
        "kind": passage.kind,
        "from": passage.before,
        "to": passage.after,
        "date": json_time(passage.date),
        "done": passage.done,
        "downtime": passage.downtime,
        "backup": passage.backup,
    }


def _offer(answers: Answers, channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "version": channel.latest,
        "date": json_time(answers.date_of(channel)),
    }


def _downloads(source: Source) -> dict[str, Any]:
    return {"url": source.downloads, "mirror": source.mirror, "origin": source.origin or None}


def of_got(got: Got) -> dict[str, Any]:
    """Return the document of `release get`."""
    return {
        "version": got.record.version,
        "path": str(got.path),
        "changed": got.changed,
        "in_use": got.used,
        "size": got.record.size,
        "sha256": got.record.sha256,
        "source": got.record.source,
        "checksums": got.record.checksums,
        "second_opinion": None if got.opinion is None else _opinion(got.opinion),
        "images": None if got.images is None else _images(got.images),
        "seconds": round(got.seconds, 3),
        "errors": [],
    }


def _opinion(opinion: Opinion) -> dict[str, Any]:
    return {
        "sha256": opinion.sha256,
        "agrees": opinion.agrees,
        "reason": opinion.reason or None,
    }


def _images(images: Images) -> dict[str, Any]:
    return {
        "path": str(images.path),
        "sha256": images.sha256,
        "size": images.size,
        "changed": images.changed,
    }


def of_used(used: Used) -> dict[str, Any]:
    """Return the document of `release use`."""
    return {
        "version": used.version,
        "before": used.before,
        "path": str(used.link),
        "changed": used.changed,
        "replaced": used.replaced,
        "errors": [],
    }


def of_pruned(pruned: Pruned) -> dict[str, Any]:
    """Return the document of `release prune`."""
    return {
        "dry_run": pruned.dry_run,
        "freed": pruned.freed,
        "removed": [_item(one) for one in pruned.removed],
        "kept": [_item(one) for one in pruned.kept],
        "errors": [error_document(problem) for problem in pruned.problems],
    }


def _release(release: Release) -> dict[str, Any]:
    record = release.record
    found = {
        "version": release.version,
        "path": str(release.path),
        "size": release.size,
        "verified": release.integrity is Integrity.VERIFIED,
        "integrity": release.integrity.value,
        "in_use": release.in_use,
        "previous": release.previous,
        "sha256": None,
        "source": None,
        "date": None,
    }
    if record is not None:
        found |= {
            "sha256": record.sha256,
            "source": record.source,
            "date": json_time(record.date),
        }
    return found


def _item(item: Item) -> dict[str, Any]:
    return {"path": str(item.path), "size": item.size, "reason": item.reason}
