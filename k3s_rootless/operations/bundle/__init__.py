"""The content of a support archive, and how it is gathered."""
