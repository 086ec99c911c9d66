"""Readers of Services, sockets and manifests."""
