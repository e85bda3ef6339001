{{/* The pod's parts. A sidecar (_sidecar.tpl) has the same, less what is for callers from elsewhere. */}}

{{- define "transportd.anyAddress" -}}
{{- if eq .Values.ipFamily "IPv6" }}[::]{{ else }}0.0.0.0{{ end }}
{{- end }}

{{- define "transportd.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "transportd.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# Whose certificates and tokens are: mode 0440.
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "transportd.resources" -}}
requests:
  cpu: {{ .Values.resources.cpu | quote }}
  memory: {{ .Values.resources.memory | quote }}
limits:
  memory: {{ .Values.resources.memory | quote }}
{{- end }}

{{- /* It takes the port of health. */}}
{{- define "transportd.probes" -}}
startupProbe:
  grpc:
    port: {{ . }}
    service: startup
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  grpc:
    port: {{ . }}
    service: liveness
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{- define "transportd.configEnvironment" -}}
{{- range $flag, $value := .Values.config }}
- name: TRANSPORTD_{{ $flag | upper | replace "-" "_" }}
  value: {{ if kindIs "float64" $value }}{{ int64 $value | toString | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{- define "transportd.policyArguments" -}}
- --policy=/etc/transportd/policy/policy.txtpb
{{- if .Values.shadowPolicy }}
- --shadow-policy=/etc/transportd/policy/shadow.txtpb
{{- end }}
{{- end }}

{{- define "transportd.commonMounts" -}}
- name: policy
  mountPath: /etc/transportd/policy
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "transportd.tmpVolume" -}}
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.workDir.sizeLimit | quote }}
{{- end }}

{{- define "transportd.spiffeUsed" -}}
{{- if or (eq .Values.tls.source "spiffe") (eq .Values.tls.clientCA.source "spiffe") }}yes{{ end }}
{{- end }}

{{- define "transportd.tlsArguments" -}}
{{- $folder := ternary "/var/run/secrets/spiffe.io" "/etc/transportd/tls" (eq .Values.tls.source "spiffe") -}}
- --tls-certificate={{ $folder }}/tls.crt
- --tls-key={{ $folder }}/tls.key
{{- with .Values.tls.clientCA }}
{{- if or (eq .source "spiffe") (and (eq .source "certificate") (eq $.Values.tls.source "spiffe")) }}
- --tls-client-ca=/var/run/secrets/spiffe.io/ca.crt
{{- else if ne .source "none" }}
- --tls-client-ca=/etc/transportd/tls/client-ca.crt
{{- end }}
{{- end }}
{{- end }}

{{- /* What is projected into /etc/transportd/tls; nothing, if all is from the CSI driver. */}}
{{- define "transportd.tlsSources" -}}
{{- if ne .Values.tls.source "spiffe" }}
- secret:
    name: {{ include "transportd.tlsSecret" . }}
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
      {{- if eq .Values.tls.clientCA.source "certificate" }}
      - key: {{ .Values.tls.clientCA.key }}
        path: client-ca.crt
      {{- end }}
{{- end }}
{{- with .Values.tls.clientCA }}
{{- if has .source (list "secret" "configMap") }}
- {{ .source }}:
    name: {{ .name }}
    items:
      - key: {{ .key }}
        path: client-ca.crt
{{- end }}
{{- end }}
{{- end }}

{{- define "transportd.container" -}}
{{- $identities := include "transportd.identitiesSecret" . -}}
{{- $any := include "transportd.anyAddress" . -}}
name: transportd
image: {{ include "transportd.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - --listen={{ $any }}:50051
  - --health-listen={{ $any }}:8086
  - --metrics-listen={{ $any }}:9090
  {{- if .Values.admin.enabled }}
  - --admin-listen=127.0.0.1:9091
  {{- end }}
  {{- include "transportd.policyArguments" . | nindent 2 }}
  {{- if $identities }}
  - --identities=/etc/transportd/identities/identities.txtpb
  {{- end }}
  {{- include "transportd.tlsArguments" . | nindent 2 }}
env:
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  - name: POD_IP
    valueFrom:
      fieldRef:
        fieldPath: status.podIP
  # Its kubelet is out of bounds for clients: the policy's class SELF.
  - name: NODE_IP
    valueFrom:
      fieldRef:
        fieldPath: status.hostIP
  # Where the unary calls of this pod's sessions go.
  - name: TRANSPORTD_INSTANCE_TARGET
    {{- if eq .Values.workload.kind "StatefulSet" }}
    value: $(POD_NAME).{{ include "transportd.fullname" . }}-pods.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:50051
    {{- else if eq .Values.ipFamily "IPv6" }}
    value: "[$(POD_IP)]:50051"
    {{- else }}
    value: $(POD_IP):50051
    {{- end }}
  # The pod's grace period, less the preStop sleep, less 5 s for the end itself.
  - name: TRANSPORTD_DRAIN_TIMEOUT
    value: {{ include "transportd.drainSeconds" . }}s
  {{- include "transportd.configEnvironment" . | trim | nindent 2 }}
ports:
  - name: grpc
    containerPort: 50051
  - name: health
    containerPort: 8086
  - name: metrics
    containerPort: 9090
{{ include "transportd.probes" 8086 }}
readinessProbe:
  grpc:
    port: 8086
    service: readiness
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 1
lifecycle:
  preStop:
    sleep:
      seconds: {{ .Values.preStopSleepSeconds }}
resources:
  {{- include "transportd.resources" . | nindent 2 }}
securityContext:
  {{- include "transportd.securityContext" . | nindent 2 }}
volumeMounts:
  {{- include "transportd.commonMounts" . | nindent 2 }}
  {{- if trim (include "transportd.tlsSources" .) }}
  - name: tls
    mountPath: /etc/transportd/tls
    readOnly: true
  {{- end }}
  {{- if include "transportd.spiffeUsed" . }}
  - name: spiffe
    mountPath: /var/run/secrets/spiffe.io
    readOnly: true
  {{- end }}
  {{- if $identities }}
  - name: identities
    mountPath: /etc/transportd/identities
    readOnly: true
  {{- end }}
{{- end }}

{{- define "transportd.volumes" -}}
- name: policy
  configMap:
    name: {{ include "transportd.policyConfigMap" . }}
{{ include "transportd.tmpVolume" . }}
{{- with trim (include "transportd.tlsSources" .) }}
- name: tls
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- if include "transportd.spiffeUsed" . }}
- name: spiffe
  csi:
    driver: spiffe.csi.cert-manager.io
    readOnly: true
    volumeAttributes:
      spiffe.csi.cert-manager.io/fs-group: "65532"
{{- end }}
{{- with include "transportd.identitiesSecret" . }}
- name: identities
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{- define "transportd.podAnnotations" -}}
kubectl.kubernetes.io/default-container: transportd
{{- if .Values.metrics.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: "9090"
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{- /* template: of a Deployment and of a StatefulSet. */}}
{{- define "transportd.podTemplate" -}}
metadata:
  labels:
    {{- /* Not the chart's version: a pod that is replaced ends its sessions. */}}
    {{- include "transportd.selectorLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- /* The user's count before the chart's; to `merge` an empty one would not count. */}}
    {{- $annotations := include "transportd.podAnnotations" . | fromYaml }}
    {{- range $key, $value := .Values.podAnnotations }}
    {{- $_ := set $annotations $key $value }}
    {{- end }}
    {{- toYaml $annotations | nindent 4 }}
spec:
  serviceAccountName: {{ include "transportd.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if kindIs "bool" .Values.hostUsers }}
  hostUsers: {{ .Values.hostUsers }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "transportd.podSecurityContext" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: {{ .Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "transportd.selectorLabels" . | nindent 10 }}
  containers:
    - {{ include "transportd.container" . | indent 6 | trim }}
  volumes:
    {{- include "transportd.volumes" . | nindent 4 }}
{{- end }}
