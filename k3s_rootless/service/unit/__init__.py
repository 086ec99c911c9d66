"""The unit: its text, the author of its files, and its pending changes."""
