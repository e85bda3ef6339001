{{/* Names and labels. Each takes the chart's own context. */}}

{{- define "transportd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* The name of the objects. 52 characters: there is room for what kinds put behind it. */}}
{{- define "transportd.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "transportd.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "transportd.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "transportd.selectorLabels" -}}
app.kubernetes.io/name: {{ include "transportd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "transportd.labels" -}}
{{ include "transportd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "transportd.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "transportd.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "transportd.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "transportd.policyConfigMap" -}}
{{- default (printf "%s-policy" (include "transportd.fullname" .)) .Values.policyConfigMap }}
{{- end }}

{{- define "transportd.tlsSecret" -}}
{{- default (printf "%s-tls" (include "transportd.fullname" .)) .Values.tls.secretName }}
{{- end }}

{{- /* The Secret with identities; empty: there are none. */}}
{{- define "transportd.identitiesSecret" -}}
{{- if .Values.identities.existingSecret }}
{{- .Values.identities.existingSecret }}
{{- else if .Values.identities.text }}
{{- printf "%s-identities" (include "transportd.fullname" .) }}
{{- end }}
{{- end }}

{{- /* The service by its name in the cluster. */}}
{{- define "transportd.dnsName" -}}
{{- printf "%s.%s.svc.%s" (include "transportd.fullname" .) .Release.Namespace .Values.clusterDomain }}
{{- end }}

{{- /* How long a pod drains: its grace period, less the preStop sleep, less 5 s for the end itself. */}}
{{- define "transportd.drainSeconds" -}}
{{- sub (sub .Values.terminationGracePeriodSeconds .Values.preStopSleepSeconds) 5 }}
{{- end }}

{{- /* It takes a quantity as transportd (MiB) or Kubernetes (Mi) has it. In bytes; a float, which no number of digits overflows. */}}
{{- define "transportd.bytes" -}}
{{- $units := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- mulf (regexFind "^[0-9]+" .) (get $units (regexFind "[KMGT]i" .)) }}
{{- end }}

{{- /* What contradicts itself and no schema can say. The defaults of flags are those of `transportd --help`. */}}
{{- define "transportd.check" -}}
{{- if lt (include "transportd.drainSeconds" . | int) 1 }}
{{- fail (printf "terminationGracePeriodSeconds (%v) leaves no time to drain: it must be more than preStopSleepSeconds (%v) and 5 s" .Values.terminationGracePeriodSeconds .Values.preStopSleepSeconds) }}
{{- end }}
{{- if and .Values.identities.text .Values.identities.existingSecret }}
{{- fail "identities.text and identities.existingSecret are both set: give one of them" }}
{{- end }}
{{- if and .Values.identities.files (not .Values.identities.text) }}
{{- fail "identities.files stand beside identities.text, which is empty; with identities.existingSecret put them into that Secret" }}
{{- end }}
{{- if and .Values.policyConfigMap .Values.shadowPolicy }}
{{- fail "shadowPolicy needs the chart's own ConfigMap: put it into policyConfigMap's as shadow.txtpb and leave shadowPolicy empty" }}
{{- end }}
{{- range $label, $_ := include "transportd.labels" . | fromYaml }}
{{- if hasKey $.Values.podLabels $label }}
{{- fail (printf "podLabels has %s, which the chart sets itself: take it out" $label) }}
{{- end }}
{{- end }}
{{- with get .Values.config "audit-log" }}
{{- if not (regexMatch "^(stdout|stderr|off|/tmp/[^/]*[^/.][^/]*)$" .) }}
{{- fail (printf "config.audit-log (%s) can be stdout, stderr, off, or a file in /tmp, as /tmp/audit: everything else of the file system is read-only, and /tmp has no folders" .) }}
{{- end }}
{{- end }}
{{- $buffered := default "512MiB" (get .Values.config "buffered-bytes") }}
{{- $grpc := default "512MiB" (get .Values.config "grpc-buffer-bytes") }}
{{- $together := addf (include "transportd.bytes" $buffered) (include "transportd.bytes" $grpc) (include "transportd.bytes" .Values.workDir.sizeLimit) }}
{{- if ge $together (include "transportd.bytes" .Values.resources.memory | float64) }}
{{- fail (printf "config.buffered-bytes (%s), config.grpc-buffer-bytes (%s) and workDir.sizeLimit (%s) must together be less than resources.memory (%s)" $buffered $grpc .Values.workDir.sizeLimit .Values.resources.memory) }}
{{- end }}
{{- if ne .Values.workload.kind "Sidecar" }}
{{- $name := include "transportd.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "%s, out of the release's name, is no name of a Service, which begins with a letter and has no dot: set fullnameOverride" $name) }}
{{- end }}
{{- if and (eq .Values.tls.clientCA.source "none") (not (include "transportd.identitiesSecret" .)) }}
{{- fail "tls.clientCA.source is none and there are no identities: nobody could say who they are. Set identities.text or identities.existingSecret, or another tls.clientCA.source" }}
{{- end }}
{{- if and (has .Values.tls.clientCA.source (list "secret" "configMap")) (not .Values.tls.clientCA.name) }}
{{- fail (printf "tls.clientCA.source is %s: set tls.clientCA.name" .Values.tls.clientCA.source) }}
{{- end }}
{{- if and (eq .Values.tls.source "certManager") (not .Values.tls.certManager.issuerRef.name) }}
{{- fail "tls.source is certManager: set tls.certManager.issuerRef.name" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas" }}
{{- end }}
{{- range $list := list "egress" "listeners" }}
{{- range $index, $rule := get $.Values.networkPolicy $list }}
{{- range $which, $port := $rule.ports }}
{{- if and $port.endPort (gt (int $port.port) (int $port.endPort)) }}
{{- fail (printf "networkPolicy.%s[%d].ports[%d]: port (%d) is greater than endPort (%d)" $list $index $which (int $port.port) (int $port.endPort)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- $sessions := default 1024 (get .Values.config "max-session-count") | int }}
{{- if and .Values.autoscaling.enabled (ge (int .Values.autoscaling.sessionsPerPod) $sessions) }}
{{- fail (printf "autoscaling.sessionsPerPod (%d) must be less than config.max-session-count (%d): a pod would be full before there is another" (int .Values.autoscaling.sessionsPerPod) $sessions) }}
{{- end }}
{{- end }}
{{- end }}
