"""`lora-operator.io/v1alpha1`: the custom resources, as pydantic types.

The CRD YAML is generated from them by `lora_api.crdgen`; a field is forever.
"""
