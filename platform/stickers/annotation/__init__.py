"""Who chooses, and what is kept: jobs, rounds, agreement, ranking and kept sets."""
