"""One script a stage; each runs alone, resumes, and does nothing when done."""
