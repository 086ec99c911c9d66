"""What the commands cost on a user's path, as ratios against floors taken in the same run."""
