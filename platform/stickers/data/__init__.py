"""From a folder of videos to what a training step reads."""
