"""Performers of steps, which make no decisions."""
