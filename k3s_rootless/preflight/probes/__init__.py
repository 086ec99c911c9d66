"""Probes that read facts from the host, without judging them."""
