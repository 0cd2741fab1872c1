"""A runtime without a cluster: makes the desired document itself, out of what a person names on the command line or in a file.

From there on everything is as in a pod. What is decided here is decided by `lora_api.recipes`, as by the operator.
"""
