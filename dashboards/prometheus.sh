#!/bin/sh
# Starts Prometheus with the rules of alerts.yml. Their runbooks are at WP_SIDECAR_RUNBOOK_URL, where your team reads
# docs/troubleshooting.md: a page of `make site`, or the file on your forge. Without it they are that path.
# Prometheus reads no variables, so its files are written here. The arguments are added to its own.
set -eu
from=${PROMETHEUS_FROM:-/etc/prometheus}
to=${PROMETHEUS_TO:-/tmp}

# In sed's replacement, these have a meaning.
page=$(printf %s "${WP_SIDECAR_RUNBOOK_URL:-docs/troubleshooting.md}" | sed 's/[\\&|]/\\&/g')
cp "$from/prometheus.yml" "$to/prometheus.yml"
sed "s|runbook_url: docs/troubleshooting[.]md|runbook_url: $page|" "$from/alerts.yml" > "$to/alerts.yml"

exec "${PROMETHEUS:-prometheus}" --config.file="$to/prometheus.yml" --web.listen-address=127.0.0.1:9090 "$@"
