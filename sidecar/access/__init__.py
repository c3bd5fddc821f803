"""Access logs of any web server or proxy -> one `Request`, and its canonical line for filters.

Patterns over raw log lines let attackers choose a spelling that no pattern reads. So a line is parsed first, by the
format that its log was detected or declared to have; the request target is decoded and normalised once; and filters
match the canonical line, in which a request has exactly one spelling.

    request.py     the value, and its canonical line
    target.py      request target -> normalised path and query
    when.py        dates as access logs write them
    dialects.py    formats as the configurations of nginx, Apache and HAProxy have them -> their parts, and
    log_format.py  these -> a parser
    formats.py     the text formats that are known, most of them written as such a format
    unknown_format.py   text in any other order of fields, as far as it is certain what each is
    named.py       fields by their usual names -> requests
    json_lines.py  JSON, and
    pairs.py       LTSV and logfmt, as fields with names
    escapes.py     text as servers write it -> as a client sent it
    chain.py       several addresses in the client's place, and trusted proxies -> the client
    wrappers.py    what transports put around a line: syslog, json-file, compose and foreman prefixes
    detect.py      which of these a log has
    sample.py      how much of a log is understood
    logs.py        all logs that are read, with the format of each; reader.py: the requests of one log's lines

Two rules hold everywhere. Text that a client wrote may add to that client's failures, and never excuses it: a line
that can be read in several ways is read in each. And the client is only ever taken from where the server wrote it.
"""
