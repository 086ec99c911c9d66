"""Takes secrets out of texts and documents."""
