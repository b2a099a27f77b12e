"""What becomes of a runs folder over time: what descends from what, what may go, what people withdraw."""
