"""Ray Serve deployments and their pages."""
