"""`python -m sidecar` is `wp-sidecar`."""

from sidecar.cli import main

main()
