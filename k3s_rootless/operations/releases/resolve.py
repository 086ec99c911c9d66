"""Find the release that a request means: a channel, a minor release or one release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.binaries import channels, installed, store, tags
from k3s_rootless.binaries.facts import Answers, Channel
from k3s_rootless.errors import PeerError, RootlessError, UsageError
from k3s_rootless.operations.releases.servers import tried
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Source
    from k3s_rootless.binaries.https import Client
    from k3s_rootless.operations.context import Context

GET = "k3s-rootless release get"


def release(context: Context, client: Client, source: Source, wanted: str) -> str:
    """Return the name of a release, such as `v1.36.3+k3s1`.

    The answer of a channel is remembered. Raises UsageError for a text that names neither a release
    nor a channel, RootlessError.
    """
    found = tags.parse(wanted)
    if isinstance(found, tags.Exact):
        return found.tag
    if found is None:
        raise UsageError(
            f"cannot get `{printable(wanted)}`: it is neither a release (such as v1.36.3+k3s1)"
            " nor a channel (such as stable, latest or v1.36)",
            hint=suggestion(wanted, known(context, client, source)),
        )
    name = found.channel
    try:
        tag = tried(context, client.limits, lambda: channels.latest(client, source.channels, name))
    except channels.UnknownChannel as error:
        raise RootlessError(
            f"cannot get `{name}`: {error.message}",
            hint=suggestion(name, known(context, client, source)),
        ) from error
    except PeerError as error:
        error.hint = error.hint or _last_answer(context, source, name)
        raise
    _remember(context, source, Channel(name, tag, datetime.now(UTC)))
    return tag


def known(context: Context, client: Client, source: Source) -> tuple[str, ...]:
    """Return the channels and their releases, as listed now or, without a server, as last known."""
    try:
        answers: Answers | None = channels.listed(client, source.channels)
    except RootlessError:
        answers = installed.answers(context.paths.own)
    if answers is None:
        return ()
    names = [one.name for one in answers.channels]
    return (*names, *dict.fromkeys(one.latest for one in answers.channels if one.latest))


def suggestion(wanted: str, names: Iterable[str]) -> str:
    """Return the hint for a name that does not exist."""
    close = tags.similar(wanted, names)
    if not close:
        return "list the channels with: k3s-rootless release list --remote"
    return f"similar names: {', '.join(close)}; for example: {GET} {close[0]}"


def _last_answer(context: Context, source: Source, channel: str) -> str | None:
    answers = installed.answers(context.paths.own)
    if answers is None or answers.server != source.channels:
        return None
    for one in answers.channels:
        if one.name == channel and one.latest:
            return f"on {answers.date_of(one):%Y-%m-%d} this channel offered: {GET} {one.latest}"
    return None


def _remember(context: Context, source: Source, channel: Channel) -> None:
    before = installed.answers(context.paths.own)
    answers = Answers(source.channels, datetime.now(UTC), (channel,))
    if before is not None and before.server == source.channels:
        others = tuple(one for one in before.channels if one.name != channel.name)
        answers = replace(before, channels=(*others, channel))
    try:
        store.remember(context.paths.own, answers)
    except RootlessError as error:
        # The answer is only a convenience for later; the download reports the same problem.
        context.notice(f"cannot remember the answer of the channel: {error.message}")
