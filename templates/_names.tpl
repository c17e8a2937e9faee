{{/* What objects are called, and how they find each other. */}}

{{- define "weighbridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "weighbridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "weighbridge.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "weighbridge.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "weighbridge.selector" -}}
app.kubernetes.io/name: {{ include "weighbridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "weighbridge.labels" -}}
{{ include "weighbridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "weighbridge.metadata" -}}
name: {{ include "weighbridge.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "weighbridge.labels" . | nindent 2 }}
{{- end }}

{{- define "weighbridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "weighbridge.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "weighbridge.image" -}}
{{- $tag := printf ":%s" (default .Chart.AppVersion .Values.image.tag) }}
{{- .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}{{ $tag }}{{ end }}
{{- end }}

{{- define "weighbridge.scheme" -}}
{{ if .Values.tls.secret }}https{{ else }}http{{ end }}
{{- end }}

{{- define "weighbridge.host" -}}
{{ include "weighbridge.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "weighbridge.url" -}}
{{ include "weighbridge.scheme" . }}://{{ include "weighbridge.host" . }}:{{ .Values.service.port }}
{{- end }}

{{- define "weighbridge.policies" -}}
{{- default (printf "%s-policies" (include "weighbridge.fullname" .)) .Values.policies.configMap }}
{{- end }}

{{- define "weighbridge.tokens" -}}
{{- if .Values.tokens.entries }}
{{- printf "%s-hashed-tokens" (include "weighbridge.fullname" .) }}
{{- else }}
{{- .Values.tokens.secret }}
{{- end }}
{{- end }}

{{- define "weighbridge.several" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) }}yes{{ end }}
{{- end }}
