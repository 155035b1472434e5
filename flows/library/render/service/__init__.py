"""A rendering service to try `render` against: small, on this machine, and as moody as real ones when asked to."""
