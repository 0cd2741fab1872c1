{{- define "lora-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "lora-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lora-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must be set when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The name is fixed: the NetworkPolicies of the models let in pods that carry it. */ -}}
{{- define "lora-operator.selector" -}}
app.kubernetes.io/name: lora-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lora-operator.labels" -}}
{{ include "lora-operator.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: lora-operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "lora-operator.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- /* JSON map of accelerator to image; without those that are not offered, and each with a tag. */ -}}
{{- define "lora-operator.runtimeImages" -}}
{{- $images := dict -}}
{{- range $accelerator, $image := .Values.runtimeImages -}}
{{- if $image -}}
{{- if or (contains ":" (base $image)) (contains "@" $image) -}}
{{- $_ := set $images $accelerator $image -}}
{{- else -}}
{{- $_ := set $images $accelerator (printf "%s:%s" $image $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $images -}}
{{- end -}}

{{- /* Labels of an object for Prometheus or Grafana: ours, and those by which theirs are found. Takes (list $ labels). */ -}}
{{- define "lora-operator.monitorLabels" -}}
{{- toYaml (merge (deepCopy (index . 1)) (include "lora-operator.labels" (index . 0) | fromYaml)) -}}
{{- end -}}
