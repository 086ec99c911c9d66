"""The support archive: everything that a helper needs to know, and no secret."""
