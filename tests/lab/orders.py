"""Orders of the K3s stand-in: the file that sets its behaviour."""

from __future__ import annotations

import json

from tests.machine import HOME, Machine

ORDERS = HOME / ".k3s-standin.json"
"""The stand-in reads this file at each start."""


def give_default_orders(machine: Machine) -> None:
    """Make the stand-in behave as K3s does, except for features that this machine cannot have."""
    if machine.plays_k3s:
        orders = {} if machine.delegates else {"enforce_controllers": False}
        machine.user("tee", str(ORDERS), stdin=json.dumps(orders)).check_returncode()
