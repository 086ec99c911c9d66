"""Read the sources of `ports` concurrently, and join them."""
