"""The loop, the supervisor, problems and backoff."""
