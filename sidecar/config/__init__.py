"""Environment, jails file and labels -> frozen settings, or every error with its place."""
