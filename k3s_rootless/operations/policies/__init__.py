"""NetworkPolicies: whether K3s enforces them, and the packets that they refuse."""
