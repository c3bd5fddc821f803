"""Messages to people: what is decided and what goes wrong, delivered by services such as Slack.

    decisions, problems ──sink──▶ outbox ──▶ journal (a file)
                                    └──▶ a delivery for each channel ──sender──▶ its service

What is sent: `occurrences.py` (bans and the like, one or counted), `notices.py` (a message), `compose.py` (its words).

How: `sink.py` publishes and never waits; `outbox.py` is what all channels share (`deliveries.py`, one for each);
`journal.py` outlives `kill -9`; `backlog.py` decides what is due and turns a storm of bans into one message;
`delivery.py` waits a service out; `channels.py` says which jail, site and event goes where.

Senders (`sender.py`, `registry.py`): `slack.py`, `mail.py` (with `owner.py`), `webhook.py`, `apprise.py`, `command.py`,
and `http_template.py` for action files, whose tags are in `tags.py`. They share `http_request.py`.
"""
