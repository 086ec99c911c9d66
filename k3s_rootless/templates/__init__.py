"""Load and render templates; contains the templates that are not files to install (`units/`)."""
