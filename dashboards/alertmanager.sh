#!/bin/sh
# Starts Alertmanager with the webhooks that wp-sidecar itself posts to: SLACK_WEBHOOK_URL (Slack, Mattermost, Rocket.Chat)
# and WP_SIDECAR_WEBHOOK_URL (Alertmanager's own JSON). Without either, alerts are shown on its page only.
# Alertmanager reads no variables, so its configuration is written here. The arguments are added to its own.
set -eu
config=${ALERTMANAGER_CONFIG:-/tmp/alertmanager.yml}

# In single quotes, YAML reads every character as it is, but for the quote.
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }

umask 077
{
  cat <<'END'
route:
  receiver: people
  group_by: [alertname, instance]
  group_wait: 10s
  group_interval: 5m
  repeat_interval: 12h
inhibit_rules:
  # A host that does not answer cannot do anything else right either.
  - source_matchers: [alertname = SidecarDown]
    target_matchers: [alertname != SidecarDown]
    equal: [instance]
receivers:
  - name: people
END
  if [ -n "${SLACK_WEBHOOK_URL:-}" ]; then
    cat <<END
    slack_configs:
      - api_url: $(quoted "$SLACK_WEBHOOK_URL")
        send_resolved: true
        username: wp-sidecar
END
    cat <<'END'
        title: '{{ if eq .Status "firing" }}:rotating_light:{{ else }}:white_check_mark: over:{{ end }} {{ .CommonLabels.alertname }}'
        text: >-
          {{ range .Alerts }}{{ .Annotations.summary }}. {{ .Annotations.description }}
          Runbook: {{ .Annotations.runbook_url }}{{ "\n" }}{{ end }}
END
  fi
  if [ -n "${WP_SIDECAR_WEBHOOK_URL:-}" ]; then
    cat <<END
    webhook_configs:
      - url: $(quoted "$WP_SIDECAR_WEBHOOK_URL")
        send_resolved: true
END
  fi
} > "$config"

exec "${ALERTMANAGER:-alertmanager}" --config.file="$config" --web.listen-address=127.0.0.1:9093 \
  --cluster.listen-address= "$@"
