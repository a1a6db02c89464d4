"""HTTP for operators: metrics, health, and a page that shows how things stand."""
