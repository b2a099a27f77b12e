"""Where Alembic begins: it migrates the connection that it is given (`stickers.hitl.database.open_engine`)."""

from alembic import context

from stickers.hitl.database import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
