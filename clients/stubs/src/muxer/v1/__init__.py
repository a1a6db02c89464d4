"""Messages and stubs of the contract muxer.v1, generated from protos/muxer/v1."""
