"""Notices about decisions and problems, an outbox for each service, and the senders."""
