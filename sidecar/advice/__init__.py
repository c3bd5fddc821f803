"""Why protection is incomplete, and what to change: the one place of prose for operators."""
