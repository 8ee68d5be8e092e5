#!/bin/sh
# Print Prometheus rule files as PrometheusRule objects. The content of a file becomes the spec,
# with RUNBOOKS_URL as the base of the links to runbooks.
#
#   RUNBOOKS_URL=https://wiki.example/runbooks \
#   deploy/kubernetes/prometheus-rules.sh docker/prometheus/rules/*.yml | kubectl apply -n oodguard -f -
set -eu

[ $# -gt 0 ] || { echo "usage: $0 RULES.yml ..." >&2; exit 2; }
for file in "$@"; do
  name=$(basename "$file")
  cat <<HEAD
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: oodguard-$(printf %s "${name%.*}" | tr A-Z_. a-z--)
  labels:
    app.kubernetes.io/name: oodguard
spec:
HEAD
  sed -e '/./s/^/  /' -e "s|{{ \$externalLabels.runbooks }}|${RUNBOOKS_URL:-docs/runbooks}|" "$file"
done
