"""Debian releases to make machines of, from wherever this host's own apt gets its packages."""
