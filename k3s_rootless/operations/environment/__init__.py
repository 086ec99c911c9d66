"""The environment that K3s starts with: the effective values, and their problems."""
