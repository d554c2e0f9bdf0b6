"""What changes an older registry into a newer one: Alembic's scripts, a file in versions/ a schema."""
