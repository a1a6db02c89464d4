"""Ranking strategies, one file each: every module here exports STRATEGY."""
