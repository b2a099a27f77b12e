"""The student's endpoint: engine, HTTP, deployment and page."""
