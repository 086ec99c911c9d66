"""What K3s said, and what that means."""
