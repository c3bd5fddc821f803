"""Container logs through the Docker Engine's API."""
