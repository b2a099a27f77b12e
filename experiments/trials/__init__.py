"""What breaks it: kills, crowds, mutated files, scale."""
