"""The annotation service: engine, HTTP, deployment and pages."""
