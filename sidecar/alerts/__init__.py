"""Messages to people: what is decided and what goes wrong, delivered by services such as Slack.

    decisions, problems ──sink──▶ Notice ──▶ an outbox for each service ──sender──▶ Slack

The sink makes notices (`compose.py`) and never waits. Each outbox has a thread and a backlog; the backlog
bounds what waits and turns a storm of bans into one message. A sender formats a notice for its service and
posts it. A new service is a module with a sender, a row in `registry.py`, and the variable that holds its URL
(`config/environment.py`).
"""
