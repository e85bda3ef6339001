{{/*
transportd beside an application, in its pod: a native sidecar. A chart that has this one as a dependency, with
`transportd.workload.kind: Sidecar`, writes in its pod's spec:

  securityContext:
    fsGroup: 65532            # the application may then open the socket, whatever its user
  initContainers:
    - {{ include "transportd.sidecar.container" .Subcharts.transportd | indent 6 | trim }}
  volumes:
    {{- include "transportd.sidecar.volumes" .Subcharts.transportd | nindent 4 }}

and mounts the volume `transportd-socket` at /run/transportd in the application's container, whose environment has
TRANSPORTD_TARGET=unix:/run/transportd/transportd.sock. There is no TLS: who can open the socket is the principal.

As a sidecar it starts before the application, which starts when the startup probe has passed, and ends after it.
*/}}

{{- define "transportd.sidecar.container" -}}
{{- $any := include "transportd.anyAddress" . -}}
name: transportd
image: {{ include "transportd.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
restartPolicy: Always
args:
  - --listen=unix:/run/transportd/transportd.sock,mode=0660,principal={{ .Values.sidecar.principal }}
  - --health-listen={{ $any }}:{{ .Values.sidecar.healthPort }}
  - --metrics-listen={{ $any }}:{{ .Values.sidecar.metricsPort }}
  {{- include "transportd.policyArguments" . | nindent 2 }}
env:
  # Its kubelet is out of bounds for clients: the policy's class SELF.
  - name: NODE_IP
    valueFrom:
      fieldRef:
        fieldPath: status.hostIP
  - name: TRANSPORTD_DRAIN_TIMEOUT
    value: {{ .Values.sidecar.drainSeconds }}s
  {{- include "transportd.configEnvironment" . | trim | nindent 2 }}
ports:
  - name: td-health
    containerPort: {{ .Values.sidecar.healthPort }}
  - name: td-metrics
    containerPort: {{ .Values.sidecar.metricsPort }}
{{ include "transportd.probes" .Values.sidecar.healthPort }}
resources:
  {{- include "transportd.resources" . | nindent 2 }}
securityContext:
  {{- include "transportd.securityContext" . | nindent 2 }}
volumeMounts:
  - name: transportd-policy
    mountPath: /etc/transportd/policy
    readOnly: true
  - name: transportd-socket
    mountPath: /run/transportd
  - name: transportd-tmp
    mountPath: /tmp
{{- end }}

{{- define "transportd.sidecar.volumes" -}}
- name: transportd-policy
  configMap:
    name: {{ include "transportd.policyConfigMap" . }}
- name: transportd-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
- name: transportd-tmp
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.workDir.sizeLimit | quote }}
{{- end }}
