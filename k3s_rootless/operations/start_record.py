"""Record the files of the unit with which K3s was started; see `service.observe.start_record`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.service.act import apply
from k3s_rootless.service.observe import start_record

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def write(context: Context, state: UnitState) -> None:
    """Record that K3s was started with the current files of its unit.

    Without a record, a restart may be reported as required when it is not. So a record that cannot
    be written is no error.
    """
    text = start_record.text(state)
    if text is None:
        return
    with suppress(RootlessError):
        apply.write(context.paths.start_record, text, 0o600)
