"""Jobs and votes in and out, so that people can choose elsewhere."""
