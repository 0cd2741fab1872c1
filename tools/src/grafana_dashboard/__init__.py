"""helm/lora-operator/files/monitoring/dashboard.json: a dashboard for Grafana, from a short description. Generated, committed."""
