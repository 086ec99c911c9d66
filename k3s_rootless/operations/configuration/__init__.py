"""The settings that `config` shows and sets."""
