"""A virtual machine with pure cgroup v2: builds its image, boots it, and answers as a `Machine`."""
