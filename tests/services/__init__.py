"""Real servers for the tests: PostgreSQL and Redis, in folders of their own, gone when the tests are."""
