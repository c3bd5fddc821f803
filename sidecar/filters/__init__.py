"""fail2ban's filter language: filter files and batches of log lines in, hits out.

Loading, once for each configuration:

    ini -> options -> loader          files, includes and `%(names)s` -> option texts -> a frozen Filter
    aliases                           names of other projects' filters -> ours that count the same
    tags, dates, time_zones           `<HOST>`, `datepattern` and zones -> regular expressions and times
    redos                             which of a filter's expressions are prone to ReDoS
    prefilter -> database             failregexes -> weaker expressions -> one search for all of them
    required_words                    the weaker expressions of filters on requests
    search, search_check              the search by Vectorscan; whether it loses lines on this processor
    search_audit                      a few lines are decided without the search, to notice what it loses

Matching, for each batch, in the thread of the source that read it:

    matcher                           the loop over the lines that the database finds
    line_text, framing, date_cutter   a line -> its text, its transport's time, its date
    log_times                         the time zone that a log is in; what a line without a date means
    attempts -> filter_runner         which filters to try; one filter at work, within its cpu_budget
    decider, sessions, redos_sandbox  the outcome: remembered, from several lines, or tried in a sandbox first
    request_decider, known_requests   the same for filters on requests; what their lines came to
    verdict                           the decision itself, by Python's `re`; also for `test-filter`
    worker_process                    the other end of a sandbox's pipe

`regex_tree`, `charsets` and `regex_examples` read regular expressions for prefilter, redos, date_cutter and `lint`,
which helps authors of filters; `samples` reads the lines beside a filter, and `line_explainer` says which expression
a line of evidence matches. The package knows no source, sink or clock.
"""
