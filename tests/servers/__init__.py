"""Access logs of real servers that we do not know by heart, held against what their backend received.

guesses.py    hostile requests: guesses at passwords, as somebody sends them who has read our docs
backend.py    answers as WordPress does, and notes each guess that reached it
kinds.py      each server's configuration, with its usual log formats
programs.py   where the servers are; `python -m tests.servers.programs` fetches those that Debian does not have
play.py       a network of its own, in which a server runs and clients send
"""
