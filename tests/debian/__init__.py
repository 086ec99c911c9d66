"""Debian releases for machines under test.

Packages come from the same sources as those of apt on the host.
"""
