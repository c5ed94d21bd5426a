"""The same alarms and numbers for Prometheus and Grafana."""
