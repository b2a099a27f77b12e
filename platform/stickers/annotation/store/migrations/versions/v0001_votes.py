"""The table of votes alone, as the first versions of this program created it without Alembic."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table of votes, unless a version without Alembic created it."""
    if sa.inspect(op.get_bind()).has_table("votes"):
        return
    op.create_table(
        "votes",
        sa.Column("job_id", sa.String(26), primary_key=True),
        sa.Column("annotator", sa.String(100), primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("plan_id", sa.String(26), nullable=False),
        sa.Column("shown", sa.JSON, nullable=False),
        sa.Column("shown_digests", sa.JSON, nullable=False),
        sa.Column("picks", sa.JSON, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
    )
    op.create_index("ix_votes_plan_id", "votes", ["plan_id"])
