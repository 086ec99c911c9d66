"""What a finding says below its own line: why, who can fix it, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.printable import printable_lines as safe

if TYPE_CHECKING:
    from k3s_rootless.finding import Finding


def details(finding: Finding, behind: str, *, told: bool) -> list[str]:
    """Return these lines; `behind` is the check that has the same remedy in full, `told` whether
    that is a graver one.
    """
    if finding.verdict.value == "pass":
        return []
    source = f", {safe(finding.source)}" if finding.source else ""
    lines = [f"{safe(finding.reason)} ({finding.check}{source})"]
    if finding.remedy and told:
        lines.append(f"{finding.remedy.mender.value}: the same as for {behind}")
    elif finding.remedy and behind == finding.check:
        lines.append(f"{finding.remedy.mender.value}: {safe(finding.remedy.text)}")
        # What nothing needs to be done about is told in a line; the commands are in the JSON.
        commands = () if finding.verdict.value == "info" else finding.remedy.commands
        lines += [f"  $ {safe(command)}" for command in commands]
    return lines
