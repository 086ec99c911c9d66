"""The names of the files in rootlesskit's state directory."""

from __future__ import annotations

LOCK = "lock"
"""In the state directory. The file stays there; it is a lock only while a process holds it."""
API_SOCKET = "api.sock"
CHILD_PID = "child_pid"
"""The process that owns the child's namespaces; written as soon as the namespaces exist."""
READY_PIPE = ".bp-ready.pipe"
LEFTOVERS = (CHILD_PID, API_SOCKET, ".bp.sock", READY_PIPE, ".s4nn.sock")
"""Files besides the lock that a killed rootlesskit leaves in its state directory."""
