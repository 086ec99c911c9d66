"""K3s's releases: channels, downloads, checksums, and the releases that are kept on this host."""
