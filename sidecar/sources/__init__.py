"""Where log lines come from. Each source is a thread that turns bytes into batches of whole lines.

registry         the sources of one run; factories: how they are made
base             what they share
docker, files, syslog        the sources
intake           scans their batches in their threads, so that only hits cross to the loop
dns              names in logs (`usedns = yes`) -> addresses, later
own_container    which container we are in
"""
