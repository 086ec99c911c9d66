"""Show the results of commands: text on a terminal or in a pipe, and JSON."""
