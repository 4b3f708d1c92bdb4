"""Alembic migrations of the tables; views are made anew by every upgrade."""
