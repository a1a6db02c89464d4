"""Chooses a model: hard filters, then a ranking, then one explained decision."""
