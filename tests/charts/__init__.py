"""The Helm chart, as both majors of helm render it."""
