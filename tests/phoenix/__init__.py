"""A real Arize Phoenix receives what the service sends, and shows it through its API."""
