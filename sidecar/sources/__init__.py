"""Where log lines come from. Each source is a thread that turns bytes into batches of whole lines.

`registry.py` lists the sources there are, `base.py` has what they share, `intake.py` scans their batches in their
threads, so that only hits cross to the loop.
"""
