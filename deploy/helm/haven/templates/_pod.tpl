{{/* Environment of a service. Takes root, name and service. */}}
{{- define "haven.env" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $service := .service -}}
{{- $env := dict
  "HAVEN_ENVIRONMENT" (ternary "development" "production" $root.Values.evaluation)
  "HAVEN_VERSION" $root.Chart.AppVersion
  "HAVEN_HTTP_HOST" "0.0.0.0"
  "HAVEN_HTTP_PORT" "9464"
  "HAVEN_TLS_DIR" "/etc/haven/tls"
  "HAVEN_ISSUER_URL" $root.Values.auth.issuerUrl
  "HAVEN_AUDIENCE" $root.Values.auth.audience
  "HAVEN_JWKS_CACHE" "/var/lib/haven/jwks.json"
  "HAVEN_TRACE_SAMPLE_RATIO" (toString $root.Values.telemetry.sampleRatio)
  "HAVEN_DRAIN_SECONDS" (toString $service.drain.seconds)
-}}
{{- with $root.Values.auth.jwksUrl }}{{ $_ := set $env "HAVEN_JWKS_URL" . }}{{ end -}}
{{- with $root.Values.telemetry.otlpEndpoint }}{{ $_ := set $env "HAVEN_OTLP_ENDPOINT" . }}{{ end -}}
{{- $callees := include "haven.calls" . | fromJsonArray -}}
{{- $served := list -}}
{{- range $callee := $callees -}}
{{- if include "haven.reachable" (dict "root" $root "name" $callee) -}}
{{- $served = append $served $callee -}}
{{- $_ := set $env (printf "HAVEN_TARGET_%s" (upper $callee)) (include "haven.address" (dict "root" $root "name" $callee)) -}}
{{- end -}}
{{- end -}}
{{- if eq $name "gateway" -}}
{{- $_ := set $env "HAVEN_SERVES" (toJson $served) -}}
{{- else -}}
{{- $_ := set $env "HAVEN_GRPC_HOST" "0.0.0.0" -}}
{{- $_ := set $env "HAVEN_GRPC_PORT" "8443" -}}
{{- $_ := set $env "HAVEN_HEALTH_PORT" "8444" -}}
{{- $_ := set $env "HAVEN_NATS_URL" (include "haven.natsUrl" $root) -}}
{{- $_ := set $env "HAVEN_NATS_USER" $name -}}
{{- $_ := set $env "HAVEN_NATS_TLS" "true" -}}
{{- $_ := set $env "HAVEN_NATS_COPIES" (ternary "1" (toString $root.Values.nats.copies) $root.Values.evaluation) -}}
{{- end -}}
{{- if has $name (list "gateway" "crisis") -}}
{{- $_ := set $env "HAVEN_LISTEN_HOST" "0.0.0.0" -}}
{{- $_ := set $env "HAVEN_LISTEN_PORT" "8080" -}}
{{- with $service.ingress.trustedProxies }}{{ $_ := set $env "HAVEN_TRUSTED_PROXIES" (toJson .) }}{{ end -}}
{{- end -}}
{{- if and (eq $name "crisis") $service.persistence.enabled -}}
{{- $_ := set $env "HAVEN_CRISIS_JOURNAL_DIR" "/var/lib/haven/journal" -}}
{{- end -}}
{{- if and (eq $name "crisis") $service.ingress.enabled -}}
{{- $_ := set $env "HAVEN_CRISIS_URL" (printf "https://%s" $service.ingress.host) -}}
{{- end -}}
{{- range $setting, $key := include "haven.secretFiles" . | fromJson -}}
{{- $suffix := ternary "" "_FILE" (hasSuffix "_file" $setting) -}}
{{- $_ := set $env (printf "HAVEN_%s%s" (upper $setting) $suffix) (printf "/etc/haven/secrets/%s" $key) -}}
{{- end -}}
{{- /* As JSON, since Helm's numbers are floating ones, and toString makes 1e+06 of a million. */ -}}
{{- range $setting, $value := $service.settings -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $env (printf "HAVEN_%s" (upper $setting)) (kindIs "string" $value | ternary $value (toJson $value)) -}}
{{- end -}}
{{- end -}}
{{- range $key := keys $env | sortAlpha }}
- name: {{ $key }}
  value: {{ index $env $key | quote }}
{{- end }}
{{- with $service.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* NATS, where it is. */}}
{{- define "haven.natsUrl" -}}
{{- if .Values.evaluation -}}
{{- .Values.nats.url | default (printf "tls://%s-nats.%s.svc.%s:4222" (include "haven.fullname" .) .Release.Namespace .Values.clusterDomain) -}}
{{- else -}}
{{- .Values.nats.url -}}
{{- end -}}
{{- end -}}

{{/* Mounts of a service's containers. Takes root, name and service, and whether it migrates before the release is there:
then there is neither certificate nor state. */}}
{{- define "haven.mounts" -}}
{{- if not .before }}
- name: tls
  mountPath: /etc/haven/tls
  readOnly: true
- name: state
  mountPath: /var/lib/haven
{{- end }}
- name: tmp
  mountPath: /tmp
{{- if include "haven.secretFiles" . | fromJson }}
- name: secrets
  mountPath: /etc/haven/secrets
  readOnly: true
{{- end }}
{{- with .service.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Volumes of a service's pods. Takes what haven.mounts takes. */}}
{{- define "haven.volumes" -}}
{{- if not .before }}
- name: tls
  secret:
    secretName: {{ include "haven.fullname" .root }}-{{ .name }}-tls
    defaultMode: 0440
{{- if not .service.persistence.enabled }}
- name: state
  emptyDir: {sizeLimit: 256Mi}
{{- end }}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with include "haven.secretFiles" . | fromJson }}
- name: secrets
  secret:
    secretName: {{ include "haven.secretName" $ }}
    defaultMode: 0440
    items:
    {{- range $setting, $key := . }}
      - {key: {{ $key }}, path: {{ $key }}}
    {{- end }}
{{- end }}
{{- with .service.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* One probe of a service. Takes root, name, service, kind. */}}
{{- define "haven.probe" -}}
{{- $probe := index .service.probes .kind -}}
{{- if eq .name "gateway" }}
httpGet:
  path: {{ ternary "/readyz" "/livez" (eq .kind "readiness") }}
  port: metrics
{{- else }}
grpc:
  port: 8444
  service: {{ ternary "" "live" (eq .kind "readiness") | quote }}
{{- end }}
periodSeconds: {{ $probe.periodSeconds }}
timeoutSeconds: {{ $probe.timeoutSeconds }}
failureThreshold: {{ $probe.failureThreshold }}
{{- end -}}

{{/* Pod template of a service. Takes root, name and service. */}}
{{- define "haven.podTemplate" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $pods := dict "root" $root "component" .name -}}
metadata:
  labels:
    {{- include "haven.labels" $pods | nindent 4 }}
    {{- with $service.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/env: {{ include "haven.env" . | sha256sum }}
    {{- if $root.Values.evaluation }}
    checksum/secret: {{ include "haven.evaluationSecret" $root | sha256sum }}
    {{- end }}
    kubectl.kubernetes.io/default-container: {{ .name }}
    {{- with $service.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "haven.fullname" $root }}-{{ .name }}
  {{- include "haven.podSpec" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ $service.drain.graceSeconds }}
  {{- if $service.priorityClass.create }}
  priorityClassName: {{ include "haven.priorityClass" . }}
  {{- else if $service.priorityClass.name }}
  priorityClassName: {{ $service.priorityClass.name }}
  {{- end }}
  # Nodes with taints that it does not tolerate (cordoned, not ready, for others) have no part in the spread: they would
  # keep replicas from where they can run. Where replicas have volumes, only those of the floor are held to a strict
  # spread: a volume from a day when a zone was away keeps its replica in its zone, and it shall run there.
  topologySpreadConstraints:
    {{- $floor := ternary $service.autoscaling.minReplicas $service.replicas $service.autoscaling.enabled | int }}
    {{- range $topology, $unsatisfiable := dict "topology.kubernetes.io/zone" $service.spread.zone "kubernetes.io/hostname" $service.spread.host }}
    {{- $apart := and $service.persistence.enabled (eq $unsatisfiable "DoNotSchedule") }}
    {{- range $when := ternary (list "DoNotSchedule" "ScheduleAnyway") (list $unsatisfiable) $apart }}
    - maxSkew: 1
      topologyKey: {{ $topology }}
      whenUnsatisfiable: {{ $when }}
      nodeTaintsPolicy: Honor
      labelSelector:
        matchLabels:
          {{- include "haven.podSelector" $pods | nindent 10 }}
        {{- if and $apart (eq $when "DoNotSchedule") }}
        matchExpressions:
          - key: apps.kubernetes.io/pod-index
            operator: In
            values:
              {{- range $index := until $floor }}
              - {{ $index | quote }}
              {{- end }}
        {{- end }}
    {{- end }}
    {{- end }}
  {{- if and (ne .name "gateway") (eq $root.Values.migrations.mode "init") }}
  initContainers:
    - name: migrate
      {{- include "haven.migrate" . | nindent 6 }}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: {{ include "haven.image" . }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [serve]
      env:
        {{- include "haven.env" . | nindent 8 }}
      ports:
        {{- if ne .name "gateway" }}
        - {name: grpc, containerPort: 8443}
        - {name: health, containerPort: 8444}
        {{- end }}
        {{- if has .name (list "gateway" "crisis") }}
        - {name: http, containerPort: 8080}
        {{- end }}
        - {name: metrics, containerPort: 9464}
      startupProbe:
        {{- include "haven.probe" (merge (dict "kind" "startup") .) | nindent 8 }}
      readinessProbe:
        {{- include "haven.probe" (merge (dict "kind" "readiness") .) | nindent 8 }}
      livenessProbe:
        {{- include "haven.probe" (merge (dict "kind" "liveness") .) | nindent 8 }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $service.drain.preStopSeconds }}
      resources:
        {{- toYaml $service.resources | nindent 8 }}
      securityContext:
        {{- include "haven.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        {{- include "haven.mounts" . | nindent 8 }}
  volumes:
    {{- include "haven.volumes" . | nindent 4 }}
{{- end -}}

{{/* What every pod of a service is and where it may run: its own, those that migrate, the drill. Takes root and service. */}}
{{- define "haven.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "haven.podSecurity" .root | nindent 2 }}
{{- with .service.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .service.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .service.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
