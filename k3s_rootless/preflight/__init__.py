"""Can this user run K3s here, and what is missing."""
