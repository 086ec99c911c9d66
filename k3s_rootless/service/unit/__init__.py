"""The text of the unit, who wrote it, and how it stands."""
