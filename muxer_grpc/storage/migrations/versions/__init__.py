"""The steps by which the tables came about, for Alembic."""
