"""wp-sidecar: watches the logs of WordPress containers, drops attackers' packets on the host."""

__version__ = "0.1.0"
