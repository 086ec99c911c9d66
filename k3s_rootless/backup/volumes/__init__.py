"""Copies of the volumes of pods, with the owners that files have in K3s's user namespace."""
