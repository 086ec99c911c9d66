"""Knowledge about K3s: its versions, the features of each release, and its settings."""
