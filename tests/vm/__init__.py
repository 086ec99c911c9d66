"""Virtual machine with pure cgroup v2: its image, its boot, and its interface as a `Machine`."""
