"""What is stored: records with versioned schemas, and their identities."""
