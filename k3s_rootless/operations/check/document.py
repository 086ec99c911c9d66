"""The JSON document of `check`; new versions only add keys.

See docs/reference/schemas/check-v2.json.
"""

from __future__ import annotations

from typing import Any

from k3s_rootless.operations.check import checking
from k3s_rootless.operations.check.checking import Checked
from k3s_rootless.operations.context import Context


def read(context: Context) -> dict[str, Any]:
    """Read and check this host with all checks, and return the document."""
    return document(Checked(checking.findings(context)))


def document(checked: Checked) -> dict[str, Any]:
    """Return the document."""
    error = checked.error
    return {
        "ready": error is None,
        "complete": checked.complete,
        "ignored": list(checked.ignored),
        "checks": [finding.document() for finding in checked.findings],
        "errors": [error.document()] if error else [],
    }
