"""Performers: they carry out steps, and decide nothing."""
