"""Remedies for failed checks, as commands to paste and as a script for the administrator."""
