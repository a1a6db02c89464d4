"""The one path of a request: plan, attempt, account; unary is the stream, folded."""
