"""What `make` runs before anything is installed: Python's own library alone, and nothing of docmill's."""
