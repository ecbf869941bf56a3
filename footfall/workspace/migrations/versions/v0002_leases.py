"""What must run once in an installation of many processes, and who runs it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Homes of before version 0001 may have the table."""

    def words(length: int | None = None) -> sa.types.TypeEngine[str]:
        sqlite = sa.Text() if length is None else sa.String(length)
        return sqlite.with_variant(sa.Text(collation="C"), "postgresql")

    op.create_table(
        "leases",
        sa.Column("name", words(64), primary_key=True),
        sa.Column("holder", words(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        if_not_exists=True,
    )
