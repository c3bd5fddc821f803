"""Where log lines come from. Each source is a thread that turns bytes into batches of whole lines."""
