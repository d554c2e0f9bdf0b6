"""The first schema, which registries were made with from the start; nothing is older."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing is to be done."""
