"""The environment that K3s starts with: which variables there are, and which value counts."""
