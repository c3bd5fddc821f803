"""`python -m sidecar` runs the command line, as `wp-sidecar` does."""

from sidecar.cli import main

main()
