"""The procedural toy world: small real collections of video files, and an oracle for evaluation."""
