"""The services: each method converts, calls, converts."""
