{{/*
A pod that runs one command of transportctl's, whose exit status is the test's. It takes a list: the context, a name, the
arguments, and whether it has the credentials of tests.client.
*/}}
{{- define "transportd.test.pod" -}}
{{- $ := index . 0 }}
{{- $name := index . 1 }}
{{- $arguments := index . 2 }}
{{- $client := index . 3 }}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "transportd.fullname" $ }}-test-{{ $name }}
  namespace: {{ $.Release.Namespace }}
  labels:
    app.kubernetes.io/name: {{ include "transportd.name" $ }}-test
    app.kubernetes.io/instance: {{ $.Release.Name }}
    app.kubernetes.io/managed-by: {{ $.Release.Service }}
    transportd.dev/client: "true"
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  activeDeadlineSeconds: 120
  securityContext:
    {{- include "transportd.podSecurityContext" $ | nindent 4 }}
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: transportctl
      image: {{ include "transportd.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      command: [transportctl]
      args:
        {{- toYaml $arguments | nindent 8 }}
      {{- if $client }}
      env:
        - name: TRANSPORTD_TARGET_CA
          value: /client/ca.crt
        {{- if eq $.Values.tests.client.kind "token" }}
        - name: TRANSPORTD_TOKEN_FILE
          value: /client/token
        {{- else }}
        - name: TRANSPORTD_TARGET_CERTIFICATE
          value: /client/tls.crt
        - name: TRANSPORTD_TARGET_KEY
          value: /client/tls.key
        {{- end }}
      {{- end }}
      resources:
        requests:
          cpu: 50m
          memory: 64Mi
        limits:
          memory: 64Mi
      securityContext:
        {{- include "transportd.securityContext" $ | nindent 8 }}
      {{- if $client }}
      volumeMounts:
        - name: client
          mountPath: /client
          readOnly: true
      {{- end }}
  {{- if $client }}
  volumes:
    - name: client
      secret:
        secretName: {{ $.Values.tests.client.secretName }}
        defaultMode: 0440
  {{- end }}
{{- end }}
