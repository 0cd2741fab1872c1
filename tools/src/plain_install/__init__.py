"""manifests/install.yaml: what the chart installs by default, for those who do not use helm. Generated, committed."""
