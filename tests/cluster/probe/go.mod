module lora-operator.io/tests/probe

go 1.26.0
