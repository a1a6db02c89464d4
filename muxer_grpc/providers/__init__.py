"""Vendor connections: one file per vendor on shared dialects, one .toml of models and prices beside it."""
