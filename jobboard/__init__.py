"""Where posters and conductors meet: states, records, postings, signals, persistence, settings."""
