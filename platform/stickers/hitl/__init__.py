"""Humans in the loop: prompts, jobs, votes, agreement and what is kept."""
