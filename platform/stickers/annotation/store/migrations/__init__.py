"""Migrations of vote databases: when one is opened, Alembic runs the steps in `versions` that it lacks."""
