"""The filter language: fail2ban's filter files in, hits out. Imports no source, sink or clock."""
