"""How grave a line is: by what its writer says in it, else by the priority that the journal has of it."""

from __future__ import annotations

import re

LEVELS = ("fatal", "error", "warning", "info", "debug")
_LOGRUS = re.compile(r"\blevel=(?P<level>trace|debug|info|warning|error|fatal|panic)\b")
_KLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.")
_OF_LOGRUS = {"trace": "debug", "panic": "fatal"}
_OF_KLOG = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}
_OF_PRIORITY = ("fatal", "fatal", "fatal", "error", "warning", "info", "info", "debug")
_HEAD = 400


def level(message: str, priority: int | None) -> str:
    """Give one of LEVELS. K3s writes all to stderr, so that the journal has one priority for all that it says."""
    head = message[:_HEAD]
    if found := _LOGRUS.search(head):
        return _OF_LOGRUS.get(found["level"], found["level"])
    if _KLOG.match(head):
        return _OF_KLOG[head[0]]
    if head.startswith(("panic: ", "fatal error: ", "FATA[", "[rootlesskit:parent] error: ")):
        return "fatal"
    return _OF_PRIORITY[priority] if priority is not None and 0 <= priority < len(_OF_PRIORITY) else "info"
