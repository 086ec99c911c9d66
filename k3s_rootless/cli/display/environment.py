"""Show the answers of `env` as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.service.unit import pending_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.environment.change import Changed, ChangedVariable

_HEAD = ("VARIABLE", "NEXT START", "ORIGIN")


def show_list(report: Report, found: Mapping[str, Any]) -> None:
    """Show the table of `env list`, and below it notes on the values."""
    rows = found["variables"]
    unknown = found["unknown_running"]
    if found["running"] and unknown is None:
        report.table(
            (*_HEAD, "RUNNING"),
            [(*_cells(row), _running_value(row)) for row in rows],
            prose="NEXT START",
        )
    else:
        report.table(_HEAD, [_cells(row) for row in rows], prose="NEXT START")
    notes = [f"{row['name']}: {message}" for row in rows for message in _messages(row)]
    if notes:
        report.answer("")
    for note in notes:
        report.answer(note)
    _show_unexpected(report, found)
    if found["running"] and unknown is not None:
        report.answer(f"\nthe environment of the running K3s is unknown: {unknown}")
    if found["pending"]:
        report.answer(f"\nrestart required: {_pending(found['pending'])}")


def _show_unexpected(report: Report, found: Mapping[str, Any]) -> None:
    """Show how to remove unexpected variables from the user manager."""
    in_manager = {row["name"] for row in found["variables"] if row["origin"] == "manager"}
    names = [name for name in found["unexpected"] if name in in_manager]
    if names:
        command = f"k3s-rootless env unset --runtime {' '.join(names)}"
        report.answer(f"\nremove it from the user manager with: {command}")


def show_variable(report: Report, row: Mapping[str, Any]) -> None:
    """Show the value of one variable, and notes on it as progress."""
    for message in _messages(row):
        report.notice(f"{row['name']}: {message}")
    if row["redacted"]:
        command = f"k3s-rootless env get --reveal {row['name']}"
        report.notice(f"the password is not shown; show it with: {command}")
    value = next_value(row)
    if value is not None:
        report.value(value)


def show_change(report: Report, done: Changed) -> None:
    """Show the effect of a change on each variable."""
    for one in done.variables:
        if one.origin is None:
            report.answer(f"{one.name} is {'unset' if one.undone else 'not set by k3s-rootless'}")
        elif done.after.state.installed or one.above:
            report.answer(f"{one.name} is set")
        else:
            report.answer(f"{one.name} is set; `k3s-rootless up` starts K3s with it")
        if one.above:
            report.notice(f"warning: {one.name} is {_relation(one)} {one.above[-1].place}")
    pending = done.after.pending()
    if pending:
        report.answer(f"restart required: {_pending(pending)}")


def show_import(report: Report, values: Mapping[str, str]) -> None:
    """Show the variables that `env import-proxy` would set; passwords are hidden."""
    for name, value in values.items():
        report.answer(f"would set {name} to {value}")


def next_value(row: Mapping[str, Any]) -> str | None:
    """Return the value at the next start, or K3s's default; None if there is neither."""
    value: str | None = row["value"] if row["set"] else row["default"]
    return value


def _pending(names: Sequence[str]) -> str:
    return f"{pending_changes.changed_since(names)}; apply it with: k3s-rootless restart"


def _relation(one: ChangedVariable) -> str:
    if one.above[-1].value is None:
        return "removed by"
    return "still set by" if one.origin is None else "overridden by"


def _messages(row: Mapping[str, Any]) -> Iterator[str]:
    yield from filter(None, (row["reason"], *row["warnings"], row["doubt"]))


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    value = next_value(row)
    return row["name"], _text(value), _origin(row) if value is not None else ""


def _origin(row: Mapping[str, Any]) -> str:
    place = row["path"] or ""
    if row["origin"] == "drop-in":
        # Users know a drop-in by its name, and `systemctl --user cat` shows it. For other files,
        # the whole path is needed.
        place = place.rpartition("/")[2]
    return f"{row['origin']} {place}".rstrip()


def _running_value(row: Mapping[str, Any]) -> str:
    if next_value(row) is None:
        return ""
    if not row["restart_needed"]:
        return "same"
    return "not set" if row["started_with"] is None else _text(row["started_with"])


def _text(value: str | None) -> str:
    if value is None:
        return "-"
    return value or "(empty)"
