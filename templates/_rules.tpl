{{/* What the schema cannot say: values that contradict each other. */}}

{{- define "weighbridge.rules" -}}
{{- $redis := eq .Values.store.kind "redis" }}
{{- if and (include "weighbridge.several" .) (not $redis) }}
{{- fail "replicas, autoscaling: a SQLite file belongs to one replica; several need store.kind redis" }}
{{- end }}
{{- if and $redis (not .Values.store.redis.url) }}
{{- fail "store.redis.url: must be given where store.kind is redis" }}
{{- end }}
{{- if and .Values.store.redis.url (contains "@" .Values.store.redis.url) }}
{{- fail "store.redis.url: must not hold a password, which everybody could read in the Deployment; use store.redis.password.secret" }}
{{- end }}
{{- if contains "@" .Values.prometheus.url }}
{{- fail "prometheus.url: must not hold a password, which everybody could read in the Deployment; use prometheus.basic.secret" }}
{{- end }}
{{- if and .Values.tokens.disabled .Values.tokens.entries }}
{{- fail "tokens: disabled and entries contradict each other" }}
{{- end }}
{{- if and (not .Values.tokens.disabled) (not (include "weighbridge.tokens" .)) }}
{{- fail "tokens: must name a secret, hold entries, or be switched off by name (disabled: true)" }}
{{- end }}
{{- if and .Values.policies.files .Values.policies.configMap }}
{{- fail "policies: files or a configMap of yours, not both" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host: must be given where the ingress is enabled" }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- fail "metrics: a serviceMonitor and a podMonitor would count everything twice; enable one" }}
{{- end }}
{{- end }}
