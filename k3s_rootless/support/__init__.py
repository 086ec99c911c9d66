"""The support archive: all data that a helper needs, with secrets removed."""
