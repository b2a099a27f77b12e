"""The migration steps, one in each file."""
