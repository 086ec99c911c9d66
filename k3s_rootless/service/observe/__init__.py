"""Readers of the unit, its files, its process and its control group."""
