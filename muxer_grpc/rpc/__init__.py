"""The wire: what callers send and get, errors as google.rpc.Status, one wrapper around every method."""
