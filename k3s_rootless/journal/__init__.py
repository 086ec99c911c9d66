"""The log of K3s, and the diagnosis of failed starts."""
