"""What somebody would write who wants to read the series of other namespaces."""

from __future__ import annotations

ESCAPES = [
    "secret_total",
    'secret_total{namespace=~".*"}',
    'secret_total{namespace=~"other|mine"}',
    'secret_total{namespace!="mine"}',
    'secret_total{namespace!~"mine"}',
    '{__name__="secret_total"}',
    '{__name__=~"secret.*"}',
    '{"secret_total"}',
    '{"secret_total", "namespace"=~".+"}',
    "sum by ($by) (x{$sel}) * on () group_left () sum(secret_total)",
    "scalar(sum(secret_total)) + x{$sel}",
    "max_over_time(secret_total[5m]) or x{$sel}",
    "max_over_time((sum by ($by) (secret_total))[5m:1m]) or x{$sel}",
    "max_over_time(rate(secret_total[1m])[5m:30s] @ end()) or x{$sel}",
    "secret_total @ start() or x{$sel} offset 1m",
    "absent(secret_total) or absent_over_time(secret_total[5m])",
    'label_replace(secret_total, "namespace", "mine", "", "")',
    'label_replace(label_replace(secret_total, "service", "a", "", ""), "namespace", "mine", "", "")',
    'label_join(secret_total, "namespace", "", "own")',
    'count_values("service", secret_total)',
    "topk(1, secret_total) # {$sel}",
    "x{$sel} #\n or secret_total",
    "x{$sel} or (secret_total unless y{$sel})",
    "sum(secret_total) / ignoring (pod) group_right () x{$sel}",
    "histogram_quantile(0.9, rate(secret_bucket[5m]))",
    'x{$sel,a="\\"} or secret_total{b=\\""} or secret_total',
]
"""Ways to read another namespace's series by an expression."""
