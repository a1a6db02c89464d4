"""Programs that make the figures the service ships with; nothing here runs in it."""
