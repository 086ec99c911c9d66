"""What has to be done, as steps; nothing is done here."""
