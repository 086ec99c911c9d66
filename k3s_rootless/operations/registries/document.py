"""The JSON documents of the commands for registries. Passwords and tokens are never in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.node.registries.facts import Config
    from k3s_rootless.operations.registries.change import Changed
    from k3s_rootless.operations.registries.check import Checked, Result
    from k3s_rootless.operations.registries.show import Row, Shown


def of_shown(shown: Shown) -> dict[str, Any]:
    """Return the document of `registries show`."""
    return {**_file(shown), "registries": [_row(row) for row in shown.rows], "errors": []}


def of_checked(checked: Checked) -> dict[str, Any]:
    """Return the document of `registries check`."""
    return {
        **_file(checked.shown),
        "endpoints": [_result(one) for one in checked.results],
        "not_requested": checked.not_requested or None,
        "good": checked.good,
        "errors": [],
    }


def of_changed(changed: Changed) -> dict[str, Any]:
    """Return the document of `registries set` and `registries remove`."""
    return {
        "path": str(changed.path),
        "changes": list(changed.changes),
        "changed": changed.changed,
        "dry_run": changed.dry_run,
        "restart_needed": changed.restart_needed or None,
        "errors": [],
    }


def _file(shown: Shown) -> dict[str, Any]:
    return {
        "path": str(shown.path),
        "path_inside": shown.inside,
        "exists": shown.exists,
        "restart_needed": shown.restart_needed or None,
        "problems": [
            {"line": one.line, "text": one.text, "fatal": one.fatal} for one in shown.found.problems
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "endpoints": [one.url for one in row.endpoints],
        "rewrites": dict(row.mirror.rewrites),
        **_config(row.config),
    }


def _config(config: Config) -> dict[str, Any]:
    credentials, tls = config.credentials, config.tls
    return {
        "username": credentials.username or None,
        "password_set": bool(credentials.password),
        "identity_token_set": bool(credentials.identity),
        "ca_file": tls.authority or None,
        "cert_file": tls.certificate or None,
        "key_file": tls.key or None,
        "verified": not tls.skip_verify,
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "registry": result.endpoint.registry,
        "url": result.endpoint.url,
        "state": result.reply.state.value,
        "detail": result.reply.detail,
        "authentication": result.reply.authentication or None,
        "advice": list(result.advice),
    }
