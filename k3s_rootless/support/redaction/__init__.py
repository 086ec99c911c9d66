"""Remove secrets from texts and documents."""
