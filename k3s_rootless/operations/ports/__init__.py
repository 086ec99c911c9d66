"""Ask the sources of `ports`, and join what they say."""
