"""The toy world as a project: tiny, full and smoke."""
