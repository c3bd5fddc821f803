"""What the daemon shows of itself: metrics, health, and its own log.

metrics          what Prometheus reads, one class for each subject (exposition: as text)
http             /metrics, /healthz, /readyz
decision_log     a sink that writes a line for each ban and unban
event_log        a log like fail2ban.log
logging          stderr, as text or JSON, written by a thread of its own
"""
