"""What commands show: text on a terminal or in a pipe, and JSON."""
