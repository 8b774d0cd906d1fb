{{- define "mguard.labels" -}}
app.kubernetes.io/part-of: mguard
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "mguard.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What each pod has alike: who it is, and no more rights than it needs. */}}
{{- define "mguard.pod" -}}
serviceAccountName: {{ .Release.Name }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ add .Values.drainSeconds 30 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "mguard.container" -}}
image: {{ include "mguard.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
workingDir: /task
ports: [{name: metrics, containerPort: {{ .Values.metricsPort }}}]
{{- with .Values.secret }}
envFrom: [{secretRef: {name: {{ . }}, optional: true}}]
{{- end }}
securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end }}

{{- define "mguard.mounts" -}}
{{- if or .Values.task.configMap .Values.task.files }}
- {name: task, mountPath: /task, readOnly: true}
{{- end }}
- {name: queue, mountPath: /queue, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "mguard.volumes" -}}
{{- if or .Values.task.configMap .Values.task.files }}
- {name: task, configMap: {name: {{ .Values.task.configMap | default (printf "%s-task" .Release.Name) }}}}
{{- end }}
- {name: queue, configMap: {name: {{ .Release.Name }}-queue}}
- {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
{{- end }}

{{- define "mguard.scraped" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.metricsPort | quote }}
prometheus.io/path: /metrics
# another configuration means other pods
checksum/queue: {{ toJson .Values.queue | sha256sum }}
checksum/task: {{ toJson .Values.task | sha256sum }}
{{- end }}
