{{- define "wp-sidecar.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 48 characters, so that what is put after it still makes a label: a StatefulSet's pods carry their name and a hash in one. */}}
{{- define "wp-sidecar.fullname" -}}
{{- $name := include "wp-sidecar.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 48 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "wp-sidecar.selector" -}}
app.kubernetes.io/name: {{ include "wp-sidecar.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Of one component: (list $ "node"). */}}
{{- define "wp-sidecar.matchLabels" -}}
{{- $root := index . 0 }}
{{- include "wp-sidecar.selector" (dict "Chart" $root.Chart "Values" $root.Values "Release" $root.Release "component" (index . 1)) }}
{{- end }}

{{- define "wp-sidecar.labels" -}}
{{- $root := index . 0 }}
{{- include "wp-sidecar.matchLabels" . }}
app.kubernetes.io/part-of: wp-sidecar
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Of a pod: nothing that changes without it, so that no new chart alone replaces pods. */}}
{{- define "wp-sidecar.podLabels" -}}
{{- include "wp-sidecar.matchLabels" . }}
app.kubernetes.io/part-of: wp-sidecar
{{- end }}

{{- define "wp-sidecar.image" -}}
{{- $image := index . 0 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) }}
{{- end }}
{{- end }}

{{- define "wp-sidecar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "wp-sidecar.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "wp-sidecar.state" -}}
{{- default (printf "/var/lib/wp-sidecar/%s/%s" .Release.Namespace (include "wp-sidecar.fullname" .)) .Values.state.hostPath }}
{{- end }}

{{/* The pod of `helm test`; whatever pods are chosen, this one is read as well. */}}
{{- define "wp-sidecar.testPod" -}}
{{- printf "%s-test-ban" (include "wp-sidecar.fullname" .) }}
{{- end }}

{{- define "wp-sidecar.hasConfig" -}}
{{- if or .Values.jails .Values.filters }}true{{ end }}
{{- end }}

{{- define "wp-sidecar.hasService" -}}
{{- if or .Values.service.enabled .Values.serviceMonitor.enabled }}true{{ end }}
{{- end }}

{{/* An address, or hostIP. */}}
{{- define "wp-sidecar.metricsAddress" -}}
{{- if .Values.metrics.address }}
{{- .Values.metrics.address }}
{{- else if or (include "wp-sidecar.hasService" .) .Values.podMonitor.enabled }}
{{- "hostIP" }}
{{- else }}
{{- "127.0.0.1" }}
{{- end }}
{{- end }}

{{/* The Secret of Slack's webhook, if any. */}}
{{- define "wp-sidecar.slackSecret" -}}
{{- if .Values.slack.existingSecret }}
{{- .Values.slack.existingSecret }}
{{- else if .Values.slack.webhookUrl }}
{{- printf "%s-slack" (include "wp-sidecar.fullname" .) }}
{{- end }}
{{- end }}

{{/* The Secret of the status page's token, if any. */}}
{{- define "wp-sidecar.webSecret" -}}
{{- if .Values.web.existingSecret }}
{{- .Values.web.existingSecret }}
{{- else if .Values.web.token }}
{{- printf "%s-web" (include "wp-sidecar.fullname" .) }}
{{- end }}
{{- end }}

{{/* The Secret of Redis' URL, if any. */}}
{{- define "wp-sidecar.redisSecret" -}}
{{- if .Values.redis.existingSecret }}
{{- .Values.redis.existingSecret }}
{{- else if or .Values.redis.url .Values.redis.enabled }}
{{- printf "%s-redis" (include "wp-sidecar.fullname" .) }}
{{- end }}
{{- end }}

{{/* The Secret of the fleet's key, if any. That of our own Valkey holds one that the chart has made. */}}
{{- define "wp-sidecar.fleetKeySecret" -}}
{{- if .Values.redis.fleetKey.existingSecret }}
{{- .Values.redis.fleetKey.existingSecret }}
{{- else if and .Values.redis.enabled .Values.redis.fleetKey.create }}
{{- include "wp-sidecar.redisSecret" . }}
{{- end }}
{{- end }}

{{/* Each item is a secret that is mounted as a file: name, Secret, key, variable. */}}
{{- define "wp-sidecar.secretFiles" -}}
{{- $files := list }}
{{- with include "wp-sidecar.slackSecret" . }}
{{- $key := empty $.Values.slack.existingSecret | ternary "url" $.Values.slack.existingSecretKey }}
{{- $files = append $files (dict "name" "slack" "secret" . "key" $key "file" "url" "env" "SLACK_WEBHOOK_URL_FILE") }}
{{- end }}
{{- with include "wp-sidecar.webSecret" . }}
{{- $key := empty $.Values.web.existingSecret | ternary "token" $.Values.web.existingSecretKey }}
{{- $files = append $files (dict "name" "web" "secret" . "key" $key "file" "token" "env" "WP_SIDECAR_WEB_TOKEN_FILE") }}
{{- end }}
{{- with include "wp-sidecar.redisSecret" . }}
{{- $key := empty $.Values.redis.existingSecret | ternary "url" $.Values.redis.existingSecretKey }}
{{- $files = append $files (dict "name" "redis" "secret" . "key" $key "file" "url" "env" "WP_SIDECAR_REDIS_URL_FILE") }}
{{- end }}
{{- with include "wp-sidecar.fleetKeySecret" . }}
{{- $key := empty $.Values.redis.fleetKey.existingSecret | ternary "fleet-key" $.Values.redis.fleetKey.existingSecretKey }}
{{- $files = append $files (dict "name" "fleet-key" "secret" . "key" $key "file" "key" "env" "WP_SIDECAR_FLEET_KEY_FILE") }}
{{- end }}
{{- toJson $files }}
{{- end }}

{{/* What was given is checked together here; each by itself, values.schema.json does. */}}
{{- define "wp-sidecar.check" -}}
{{- if and .Values.slack.webhookUrl .Values.slack.existingSecret }}
{{- fail "slack.webhookUrl is set, and so is slack.existingSecret; keep one of the two" }}
{{- end }}
{{- if and .Values.web.token .Values.web.existingSecret }}
{{- fail "web.token is set, and so is web.existingSecret; keep one of the two" }}
{{- end }}
{{- $redis := list }}
{{- if .Values.redis.enabled }}{{ $redis = append $redis "redis.enabled" }}{{ end }}
{{- if .Values.redis.url }}{{ $redis = append $redis "redis.url" }}{{ end }}
{{- if .Values.redis.existingSecret }}{{ $redis = append $redis "redis.existingSecret" }}{{ end }}
{{- if gt (len $redis) 1 }}
{{- fail (printf "%s are set; keep one: our own Valkey, or the URL of yours, or the Secret that holds it" (join ", " $redis)) }}
{{- end }}
{{- if and .Values.redis.fleetKey.existingSecret (not $redis) }}
{{- fail "redis.fleetKey.existingSecret is for a fleet; set redis.enabled, redis.url or redis.existingSecret" }}
{{- end }}
{{- if and .Values.redis.networkPolicy.enabled (not .Values.neverBan.nodes) }}
{{- fail "redis.networkPolicy.enabled needs neverBan.nodes: the nodes' addresses are who it lets in" }}
{{- end }}
{{- if and .Values.redis.networkPolicy.enabled (not .Values.redis.enabled) }}
{{- fail "redis.networkPolicy.enabled is about our own Valkey; set redis.enabled, or leave it off" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled is set, and so is podMonitor.enabled: every pod would be scraped twice; keep one of the two" }}
{{- end }}
{{- $scraped := or (include "wp-sidecar.hasService" .) .Values.podMonitor.enabled }}
{{- if and $scraped (has .Values.metrics.address (list "127.0.0.1" "::1")) }}
{{- fail (printf "metrics.address is %s, where no Prometheus of another node gets; set it to hostIP, or leave it empty" .Values.metrics.address) }}
{{- end }}
{{- if and .Values.kubernetesApi.enabled (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "kubernetesApi.enabled needs an account; set serviceAccount.create, or serviceAccount.name to one that exists" }}
{{- end }}
{{- end }}

{{/* What a run and check-config have in common. */}}
{{- define "wp-sidecar.env" -}}
- name: WP_SIDECAR_SOURCE
  value: {{ .Values.source }}
{{- with .Values.pods }}
{{- $chosen := list }}
{{- range . }}{{ if not (hasPrefix "!" .) }}{{ $chosen = append $chosen . }}{{ end }}{{ end }}
{{- $test := empty $chosen | ternary list (list (printf "%s/%s/*" $.Release.Namespace (include "wp-sidecar.testPod" $))) }}
- name: WP_SIDECAR_PODS
  value: {{ concat . $test | join " " | quote }}
{{- end }}
{{- with concat .Values.neverBan.pods .Values.neverBan.services .Values.neverBan.nodes .Values.neverBan.others }}
- name: WP_SIDECAR_IGNOREIP
  value: {{ join " " . | quote }}
{{- end }}
{{- with .Values.trustedProxies }}
- name: WP_SIDECAR_TRUSTED_PROXIES
  value: {{ join " " . | quote }}
{{- end }}
{{- if .Values.banPrivate }}
- name: WP_SIDECAR_BAN_PRIVATE
  value: "true"
{{- end }}
{{- if .Values.flushOnExit }}
- name: WP_SIDECAR_FLUSH_ON_EXIT
  value: "true"
{{- end }}
- name: WP_SIDECAR_LOG_LEVEL
  value: {{ .Values.log.level }}
- name: WP_SIDECAR_LOG_FORMAT
  value: {{ .Values.log.format }}
{{- end }}

{{/* The environment of the DaemonSet's pod. A name that extraEnv has is left out here: helm 4 refuses a name that is there twice. */}}
{{- define "wp-sidecar.nodeEnv" -}}
{{- $given := list }}
{{- range .Values.extraEnv }}{{ $given = append $given .name }}{{ end }}
{{- $env := list }}
{{- range include "wp-sidecar.chartEnv" . | fromYamlArray }}
{{- if not (has .name $given) }}{{ $env = append $env . }}{{ end }}
{{- end }}
{{- toYaml (concat $env .Values.extraEnv) }}
{{- end }}

{{- define "wp-sidecar.chartEnv" -}}
{{- $address := include "wp-sidecar.metricsAddress" . -}}
- name: WP_SIDECAR_NODE
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{ include "wp-sidecar.env" . }}
{{- if .Values.kubernetesApi.enabled }}
- name: WP_SIDECAR_KUBERNETES_API
  value: "true"
{{- end }}
{{- if eq $address "hostIP" }}
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
{{- end }}
- name: WP_SIDECAR_LISTEN
  value: {{ printf "[%s]:%d" (eq $address "hostIP" | ternary "$(HOST_IP)" $address) (int .Values.metrics.port) | quote }}
{{- if include "wp-sidecar.hasService" . }}
{{- $service := printf "%s-metrics" (include "wp-sidecar.fullname" .) }}
{{- $full := printf "%s.%s" $service .Release.Namespace }}
# by the Service's names, beside addresses
- name: WP_SIDECAR_LISTEN_NAMES
  value: {{ printf "%s %s %s.svc %s.svc.cluster.local" $service $full $full $full | quote }}
{{- end }}
# on the node's folder, where `helm test` finds it
- name: WP_SIDECAR_SOCKET
  value: /var/lib/wp-sidecar/control.sock
{{- if eq .Values.source "docker" }}
- name: DOCKER_HOST
  value: unix:///var/run/docker.sock
{{- end }}
{{- range include "wp-sidecar.secretFiles" . | fromJsonArray }}
- name: {{ .env }}
  value: /run/secrets/{{ .name }}/{{ .file }}
{{- end }}
{{- with .Values.redis.prefix }}
- name: WP_SIDECAR_REDIS_PREFIX
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* The volume of jails and filters: the paths are those where they are looked for. */}}
{{- define "wp-sidecar.configVolume" -}}
- name: config
  configMap:
    name: {{ index . 1 }}
    items:
      {{- if (index . 0).Values.jails }}
      - key: jails.conf
        path: jails.conf
      {{- end }}
      {{- range $name, $_ := (index . 0).Values.filters }}
      - key: filter.{{ $name }}
        path: filters/{{ $name }}
      {{- end }}
{{- end }}

{{- define "wp-sidecar.configData" -}}
{{- $data := dict }}
{{- with .Values.jails }}
{{- $_ := set $data "jails.conf" . }}
{{- end }}
{{- range $name, $text := .Values.filters }}
{{- $_ := set $data (printf "filter.%s" $name) $text }}
{{- end }}
{{- toYaml $data }}
{{- end }}

{{/* The name of something in another namespace than the release's, where releases of all namespaces meet: (list $ namespace). */}}
{{- define "wp-sidecar.nameIn" -}}
{{- $root := index . 0 }}
{{- $name := include "wp-sidecar.fullname" $root }}
{{- if has (index . 1) (list "" $root.Release.Namespace) }}
{{- $name }}
{{- else }}
{{- printf "%s-%s" $root.Release.Namespace $name }}
{{- end }}
{{- end }}
