"""What the method gains."""
