"""`/metrics`: what Prometheus reads of this server, of all jobs and of all conductors."""
