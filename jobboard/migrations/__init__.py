"""Alembic migrations of our tables, and how a database is brought up to date."""
