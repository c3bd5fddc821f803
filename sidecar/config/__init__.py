"""The configuration: environment variables, jails file and labels -> frozen settings, or every error with its place.

    settings       the values that a run needs; every default
    environment    the table of variables, and how they are read (variable_values, units: parsers for one value)
    jail_keys      the table of jail keys: parser, field, label, where it is shown
    jails          the reader of the jails file (jail_values: one value with its place; jail_filters: a jail's filter)
    actions        a jail's `action`: action_names (fail2ban's), action_file (action.d: shell_words, curl_lines)
    labels         the table of container labels
    log_formats    how each access log is read: `logformat` and the label
    cdn            the networks of CDNs and of monitoring services
    redis_url      the URL of a fleet's server; node_name: what a host may be called in it
    state          where the state directory is, loaded before all else
    reader         puts environment, jails file and CDNs together
    effective      every setting with the place that it comes from, for people
    changes        what a reload cannot change
    errors         an error with its place; all errors are raised together

A variable, a jail key or a label is one row of its table. The readers go through the tables and know no key by name.
"""
