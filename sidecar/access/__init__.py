"""Access logs of any web server or proxy -> one `Request`, and its canonical line for filters.

Patterns over raw log lines let attackers choose a spelling that no pattern reads. So a line is parsed first, by the
format that its log was detected or declared to have; the request target is decoded and normalised once; and filters
match the canonical line, in which a request has exactly one spelling.

    request.py     the value, and its canonical line
    target.py      request target -> normalised path and query
    when.py        dates as access logs write them
    log_format.py  nginx's `log_format` and Apache's `LogFormat` -> a parser
    formats.py     the text formats that are known, most of them written as such a format
    json_lines.py  the JSON formats that are known, by the names of their keys
    wrappers.py    what transports put around a line: syslog, json-file, compose and foreman prefixes
    detect.py      which of these a log has
    sample.py      how much of a log is understood

Two rules hold everywhere. Text that a client wrote may add to that client's failures, and never excuses it: a line
that can be read in several ways is read in each. And the client is only ever taken from where the server wrote it.
"""
