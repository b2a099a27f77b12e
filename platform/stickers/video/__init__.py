"""Reading and writing clips, and cutting them to the shape the model takes."""
