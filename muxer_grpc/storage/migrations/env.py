"""What Alembic runs to migrate: on the connection that migrating.py hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from muxer_grpc.storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot alter most of a table: it is copied.
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
