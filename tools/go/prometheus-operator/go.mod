// Pins the Prometheus Operator, whose CustomResourceDefinitions the chart's monitors are held against. Nothing is built from it.
module lora-operator.io/tools/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
