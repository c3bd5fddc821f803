"""What outlives the process: bans, failures and cursors.

base             what a store promises, and what it remembers
sqlite           the store of one host: one file, and a transaction for each turn of the loop
database         an open file: transactions, and its errors as sentences
schema, rows     the tables, and their rows as values; turns writes one turn into them
past_bans        bans that are over, for `history`
pending          what is owed to the file while it cannot be written
recovery, soundness      a file that is damaged, and rows that others wrote
clock_row        the clocks as they were when the file was written
load_limit       how many failures are loaded where memory is limited
"""
