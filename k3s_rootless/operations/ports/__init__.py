"""Read the sources of `ports` side by side, and join them."""
