"""Who calls: API keys, tokens, certificates, and what a mesh says of them."""
