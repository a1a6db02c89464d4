"""Holds the Muxer contract; see muxer.v1."""
