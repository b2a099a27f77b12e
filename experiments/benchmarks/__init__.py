"""What it costs, beside a peer or a baseline of the same run."""
