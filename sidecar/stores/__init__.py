"""What outlives the process: bans, failures and cursors."""
