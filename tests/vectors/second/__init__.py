"""A second, small implementation of the wire profile sealgate/1, in standard-library Python only."""
