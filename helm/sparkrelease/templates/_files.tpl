{{/* A file of manifests/ with the namespace of this installation: accounts are named by it in policies and bindings, too. */}}
{{- define "sparkrelease.file" -}}
{{- $text := required (printf "%s is not in the chart" .path) (.root.Files.Get (printf "manifests/%s" .path)) -}}
{{- $text | replace "sparkrelease-system" .root.Values.namespace -}}
{{- end -}}
