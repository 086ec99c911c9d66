"""Plans: the steps that are necessary. This package performs no step."""
