"""What `status` sees, and what that means."""
