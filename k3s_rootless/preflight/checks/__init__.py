"""What rootless K3s needs of a host: each check is a pure judgement over facts."""
