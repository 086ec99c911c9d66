"""Machine with a real systemd in private namespaces of the host.

A lab boots in about a second and leaves nothing on the host.
"""
