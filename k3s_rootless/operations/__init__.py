"""The operations behind the commands, as functions of a Context. Nothing here prints."""
