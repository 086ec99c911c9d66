"""Show the results of the commands for tokens; secrets only with `reveal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations.token import document, rotate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.cluster.bootstrap_tokens import BootstrapToken
    from k3s_rootless.operations.token.rotate import Rotated
    from k3s_rootless.operations.token.show import Shown, Token

_HIDDEN = "(hidden; --reveal prints it)"


def show(report: Report, shown: Shown, *, reveal: bool) -> None:
    """Print the tokens, with the places that set them."""
    for one in shown.tokens:
        for line in _lines(one, reveal=reveal):
            report.answer(line)
    for old in shown.earlier:
        report.answer(f"{old.kind} token replaced at {old.replaced:%Y-%m-%d %H:%M:%S %Z}:")
        report.answer(f"  token   {_text(old.token, reveal=reveal)}")
    report.document(document.of_shown(shown, reveal=reveal))


def show_list(report: Report, found: Sequence[BootstrapToken], *, reveal: bool) -> None:
    """Print a table of the bootstrap tokens."""
    head = ["ID", "EXPIRES", "USAGES", "DESCRIPTION", "GROUPS"]
    rows = [
        [
            one.identifier,
            one.expires or "never",
            ",".join(one.usages),
            one.description,
            ",".join(one.groups),
        ]
        for one in found
    ]
    if reveal:
        head.append("TOKEN")
        rows = [[*row, one.text] for row, one in zip(rows, found, strict=True)]
    if rows:
        report.table(head, rows, spare=("GROUPS", "USAGES"), prose="DESCRIPTION")
    else:
        report.answer("no bootstrap tokens")
    report.document(document.of_list(found, reveal=reveal))


def show_created(report: Report, created: BootstrapToken, *, reveal: bool) -> None:
    """Print the identifier of a new token, or the token."""
    if reveal:
        report.value(created.text)
    else:
        report.answer(
            f"created {created.identifier}; print it with: k3s-rootless token list --reveal"
        )
    report.document(document.of_created(created, reveal=reveal))


def show_deleted(report: Report, identifiers: Sequence[str]) -> None:
    """Print the identifiers of the deleted tokens."""
    for one in identifiers:
        report.answer(f"deleted {one}")
    report.document(document.of_deleted(identifiers))


def show_rotated(report: Report, rotated: Rotated) -> None:
    """Print what a rotation would do, or did."""
    if rotated.started is None:
        for number, line in enumerate(_steps(rotated), 1):
            report.answer(f"{number}. {line}")
    else:
        ready = "K3s is ready" if rotated.started.ready else "K3s is starting"
        report.answer(f"the token is rotated; {ready}")
        if rotated.plan.kind == "server":
            report.answer("earlier backups need the old token: k3s-rootless token show --reveal")
    report.document(rotate.document(rotated))


def _lines(one: Token, *, reveal: bool) -> Iterator[str]:
    yield f"{one.kind} token:"
    if one.text is None and one.kind == "agent":
        yield "  agents use the token of the server"
    elif one.text is None:
        yield f"  K3s has not written {one.path} yet"
    else:
        yield f"  file    {one.path}"
        yield f"  token   {_text(one.text, reveal=reveal)}"
    for place in one.set_in:
        yield f"  set in  {place}"


def _text(secret: str, *, reveal: bool) -> str:
    return secret if reveal else _HIDDEN


def _steps(rotated: Rotated) -> Iterator[str]:
    plan = rotated.plan
    if plan.resumed:
        yield "finish the rotation that was interrupted"
    if plan.sends:
        yield "request K3s to encrypt its datastore with a new token"
    for edit in plan.edits:
        yield f"set the new token in {edit.path}"
    yield "restart K3s, which stops all pods"
