{{/* The name of the operator's objects. */}}
{{- define "klamm-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if hasPrefix .Release.Name .Chart.Name -}}
{{- .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of objects that belong to no namespace: releases in two namespaces do not collide. */}}
{{- define "klamm-operator.globalname" -}}
{{- printf "%s-%s" .Release.Namespace (include "klamm-operator.fullname" .) -}}
{{- end -}}

{{/* What selects the operator's pods. Brokers let in pods whose name is klamm-operator, so it does not follow the chart's alias. */}}
{{- define "klamm-operator.selector" -}}
app.kubernetes.io/name: klamm-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "klamm-operator.labels" -}}
{{ include "klamm-operator.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: klamm
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}

{{/* The operator's account. */}}
{{- define "klamm-operator.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "klamm-operator.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* An image: call with (dict "image" .Values.image "root" $). */}}
{{- define "klamm-operator.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* What a container may do: nothing but run. */}}
{{- define "klamm-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Whom a pod runs as. */}}
{{- define "klamm-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* A part of the permissions: call with (dict "part" "namespaced" "root" $). */}}
{{- define "klamm-operator.permissions" -}}
{{- $permissions := .root.Files.Get "files/permissions.yaml" | fromYaml -}}
{{- get $permissions .part | toYaml -}}
{{- end -}}

{{/* Who is bound to the operator's roles. */}}
{{- define "klamm-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "klamm-operator.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
