"""How older vote databases become newer ones: Alembic runs what is in `versions` when one is opened."""
