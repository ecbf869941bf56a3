"""What Alembic runs: on the connection and in the transaction of footfall/workspace/schema.py."""

from __future__ import annotations

from alembic import context

from footfall.workspace.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
)
context.run_migrations()
