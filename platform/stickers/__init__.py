"""The library: an ensemble of video teachers, the people who choose, and the student that is served."""
