"""What the phases of a start are called, by users and in JSON; light, since the options of commands
name them.
"""

from __future__ import annotations

KEYS = ("unit", "namespace", "socket", "port", "kubeconfig", "api", "node", "deployments")
"""In the order in which K3s reaches them."""
