"""The K3s user unit of systemd: its files, its settings, and how it starts and stops."""
