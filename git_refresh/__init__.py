"""Refreshes the Git credentials and Git folders of Azure Databricks workspaces with Entra tokens."""

__version__ = "0.1.0"
