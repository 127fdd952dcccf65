"""Azure Databricks workspaces."""
