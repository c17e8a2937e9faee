{{/* The container's environment, mounts and volumes. */}}

{{- define "weighbridge.store" -}}
{{- if eq .Values.store.kind "sqlite" -}}
sqlite:/var/lib/weighbridge/weighbridge.db
{{- else -}}
{{- $redis := .Values.store.redis }}
{{- $options := list }}
{{- if $redis.password.secret }}{{ $options = append $options (printf "password_file=/etc/weighbridge/redis-password/%s" $redis.password.key) }}{{ end }}
{{- if $redis.ca.secret }}{{ $options = append $options (printf "ca_file=/etc/weighbridge/redis-ca/%s" $redis.ca.key) }}{{ end }}
{{- $redis.url }}
{{- if $options }}{{ ternary "&" "?" (contains "?" $redis.url) }}{{ join "&" $options }}{{ end }}
{{- end }}
{{- end }}

{{- define "weighbridge.env" -}}
- {name: WEIGHBRIDGE_LISTEN, value: {{ printf "%s:8080" .Values.bind | quote }}}
{{- with .Values.prometheus }}
{{- if .url }}
- {name: WEIGHBRIDGE_PROMETHEUS, value: {{ .url | quote }}}
{{- end }}
{{- if .bearer.secret }}
- {name: WEIGHBRIDGE_PROMETHEUS_BEARER_FILE, value: {{ printf "/etc/weighbridge/prometheus-bearer/%s" .bearer.key | quote }}}
{{- end }}
{{- if .ca.secret }}
- {name: WEIGHBRIDGE_PROMETHEUS_CA_FILE, value: {{ printf "/etc/weighbridge/prometheus-ca/%s" .ca.key | quote }}}
{{- end }}
{{- if .basic.secret }}
- name: WEIGHBRIDGE_PROMETHEUS_BASIC
  valueFrom: {secretKeyRef: {name: {{ .basic.secret }}, key: {{ .basic.key }}}}
{{- end }}
{{- if .headers.secret }}
- name: WEIGHBRIDGE_PROMETHEUS_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .headers.secret }}, key: {{ .headers.key }}}}
{{- end }}
{{- end }}
- {name: WEIGHBRIDGE_POLICIES, value: /etc/weighbridge/policies}
{{- with .Values.policies.default }}
- {name: WEIGHBRIDGE_DEFAULT_POLICY, value: {{ . | quote }}}
{{- end }}
{{- if .Values.tokens.disabled }}
- {name: WEIGHBRIDGE_NO_AUTH, value: "true"}
{{- else }}
- {name: WEIGHBRIDGE_TOKENS_FILE, value: {{ printf "/etc/weighbridge/tokens/%s" (ternary "tokens.yaml" .Values.tokens.key (not (empty .Values.tokens.entries))) | quote }}}
{{- end }}
{{- if .Values.tls.secret }}
- {name: WEIGHBRIDGE_TLS_CERT_FILE, value: /etc/weighbridge/tls/tls.crt}
- {name: WEIGHBRIDGE_TLS_KEY_FILE, value: /etc/weighbridge/tls/tls.key}
{{- end }}
- {name: WEIGHBRIDGE_STORE, value: {{ include "weighbridge.store" . | quote }}}
{{- if and .Values.ingress.enabled (not .Values.settings.public_url) }}
- {name: WEIGHBRIDGE_PUBLIC_URL, value: {{ printf "%s://%s" (ternary "https" "http" (not (empty .Values.ingress.tlsSecret))) .Values.ingress.host | quote }}}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: WEIGHBRIDGE_{{ upper $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "weighbridge.mounts" -}}
{{- if eq .Values.store.kind "sqlite" }}
- {name: state, mountPath: /var/lib/weighbridge}
{{- end }}
- {name: policies, mountPath: /etc/weighbridge/policies, readOnly: true}
{{- if not .Values.tokens.disabled }}
- {name: tokens, mountPath: /etc/weighbridge/tokens, readOnly: true}
{{- end }}
{{- range $name, $secret := include "weighbridge.secrets" . | fromYaml }}
- {name: {{ $name }}, mountPath: /etc/weighbridge/{{ $name }}, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "weighbridge.volumes" -}}
{{- if eq .Values.store.kind "sqlite" }}
- name: state
  {{- if .Values.store.sqlite.volume }}
  persistentVolumeClaim: {claimName: {{ default (include "weighbridge.fullname" .) .Values.store.sqlite.existingClaim }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
- name: policies
  configMap: {name: {{ include "weighbridge.policies" . }}}
{{- if not .Values.tokens.disabled }}
- name: tokens
  secret: {secretName: {{ include "weighbridge.tokens" . }}, defaultMode: 0440}
{{- end }}
{{- range $name, $secret := include "weighbridge.secrets" . | fromYaml }}
- name: {{ $name }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Secrets that are mounted as they are, by the name of their folder. */}}
{{- define "weighbridge.secrets" -}}
{{- with .Values.prometheus.bearer.secret }}
prometheus-bearer: {{ . }}
{{- end }}
{{- with .Values.prometheus.ca.secret }}
prometheus-ca: {{ . }}
{{- end }}
{{- if eq .Values.store.kind "redis" }}
{{- with .Values.store.redis.password.secret }}
redis-password: {{ . }}
{{- end }}
{{- with .Values.store.redis.ca.secret }}
redis-ca: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.tls.secret }}
tls: {{ . }}
{{- end }}
{{- end }}

{{- define "weighbridge.spread" -}}
{{- if .Values.topologySpreadConstraints }}
{{- toYaml .Values.topologySpreadConstraints }}
{{- else if include "weighbridge.several" . }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "weighbridge.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}
