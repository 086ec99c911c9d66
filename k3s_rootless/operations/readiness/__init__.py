"""Readiness of K3s: the phases of a start, and how each phase is detected."""
