"""Templates: what reads and renders them, and those that are no files to ship (`units/`)."""
