"""The routes below `/api`. Each only translates: a request to the client, its answer to JSON."""
