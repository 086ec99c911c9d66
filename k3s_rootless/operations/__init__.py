"""What commands do, as functions over a Context; nothing is printed here."""
