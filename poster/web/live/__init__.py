"""What happens, as it happens: a feed that reads it once, and streams that many read."""
