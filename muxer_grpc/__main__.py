"""Runs the command line: python -m muxer_grpc."""

from muxer_grpc.cli.app import main

if __name__ == "__main__":
    main()
