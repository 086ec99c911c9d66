"""What fixes a failed check, as commands to paste and as a script for the administrator."""
