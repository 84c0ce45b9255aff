{{/* The prefix of the names of this release's objects. */}}
{{- define "haven.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects every pod of this release. */}}
{{- define "haven.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The recommended labels. Takes root and component. */}}
{{- define "haven.labels" -}}
{{ include "haven.selector" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: haven
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace, labels and annotations of an object. Takes root, component and name, and may take annotations and
labels. */}}
{{- define "haven.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "haven.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What selects the pods of one service. Takes root and component. */}}
{{- define "haven.podSelector" -}}
{{ include "haven.selector" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* A service's values: the defaults with its own block over them. Takes root and name. */}}
{{- define "haven.service" -}}
{{- mergeOverwrite (deepCopy .root.Values.serviceDefaults) (deepCopy (index .root.Values.services .name)) | toYaml -}}
{{- end -}}

{{/* The names of the services that this release runs, as JSON. */}}
{{- define "haven.enabled" -}}
{{- $found := list -}}
{{- range $name, $_ := .Values.services -}}
{{- $service := include "haven.service" (dict "root" $ "name" $name) | fromYaml -}}
{{- if $service.enabled -}}{{- $found = append $found $name -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* An amount of bytes as a number: the API server writes 1Gi for 1024Mi. */}}
{{- define "haven.quantity" -}}
{{- $unit := regexFind "[A-Za-z]+$" (toString .) -}}
{{- $binary := dict "Ki" 1 "Mi" 2 "Gi" 3 "Ti" 4 "Pi" 5 -}}
{{- $decimal := dict "k" 1 "M" 2 "G" 3 "T" 4 "P" 5 -}}
{{- $number := toString . | trimSuffix $unit | float64 -}}
{{- range until (get $binary $unit | default 0 | int) -}}{{- $number = mulf $number 1024 -}}{{- end -}}
{{- range until (get $decimal $unit | default 0 | int) -}}{{- $number = mulf $number 1000 -}}{{- end -}}
{{- $number -}}
{{- end -}}

{{/* The name of the priority class of a service: of the whole cluster, so it names the namespace. Takes root and name. */}}
{{- define "haven.priorityClass" -}}
{{ .root.Release.Namespace }}-{{ include "haven.fullname" .root }}-{{ .name }}
{{- end -}}

{{/* Whether the service is run here or lies elsewhere at a known address. Takes root and name. */}}
{{- define "haven.reachable" -}}
{{- $service := include "haven.service" . | fromYaml -}}
{{- if or $service.enabled $service.externalAddress -}}true{{- end -}}
{{- end -}}

{{/* Where a service answers gRPC. Takes root and name. */}}
{{- define "haven.address" -}}
{{- $service := include "haven.service" . | fromYaml -}}
{{- if $service.enabled -}}
dns:///{{ include "haven.fullname" .root }}-{{ .name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}:8443
{{- else -}}
{{- $service.externalAddress -}}
{{- end -}}
{{- end -}}

{{/* The services that one may call, by the matrix made from their own declarations; as JSON. Takes root and name. */}}
{{- define "haven.calls" -}}
{{- $found := list -}}
{{- $name := .name -}}
{{- range $callee, $callers := .root.Files.Get "files/callers.json" | fromJson -}}
{{- if has $name $callers -}}{{- $found = append $found $callee -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Image of a service. Takes root, name and service. */}}
{{- define "haven.image" -}}
{{- $image := .root.Values.image -}}
{{- $where := printf "%s/%s/%s" $image.registry $image.repository .name | trimPrefix "/" -}}
{{- if .service.image.digest -}}
{{ $where }}@{{ .service.image.digest }}
{{- else -}}
{{ $where }}:{{ coalesce .service.image.tag $image.tag .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The name of the Secret of a service. Takes root, name and service. */}}
{{- define "haven.secretName" -}}
{{- .service.secrets.existingSecret | default (printf "%s-%s" (include "haven.fullname" .root) .name) -}}
{{- end -}}

{{/* The entry of the store that a service's Secret is filled from. Takes root, name and service. */}}
{{- define "haven.remoteKey" -}}
{{- $own := dig "secrets" "external" "remoteKey" "" (index .root.Values.services .name | default dict) -}}
{{- with .service.secrets.external.remoteKey -}}
{{- $own | default (printf "%s/%s" . $.name) -}}
{{- end -}}
{{- end -}}

{{/* The name of the Secret with the token that the drill is played with. */}}
{{- define "haven.testToken" -}}
{{- .Values.tests.tokenSecret | default (printf "%s-test-token" (include "haven.fullname" .)) -}}
{{- end -}}

{{/* The files of its Secret that a service reads, setting to key; as JSON. Takes service. */}}
{{- define "haven.secretFiles" -}}
{{- $found := dict -}}
{{- range $setting, $key := .service.secrets.files -}}
{{- if $key -}}{{- $_ := set $found $setting $key -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* What every container is forbidden (Pod Security "restricted"). */}}
{{- define "haven.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What every pod is. */}}
{{- define "haven.podSecurity" -}}
runAsNonRoot: true
{{- range $id, $number := .Values.podSecurity }}
{{- if $number }}
{{ $id }}: {{ int64 $number }}
{{- end }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
