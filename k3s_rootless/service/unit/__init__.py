"""The text of the unit, who wrote it, and what is configured and not in effect."""
