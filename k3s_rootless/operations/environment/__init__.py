"""The environment that K3s starts with: what is in effect, and what is wrong with it."""
