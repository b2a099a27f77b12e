"""The database of people's choices: votes, seats, people and settings."""
