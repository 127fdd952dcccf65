"""Keeps Git credentials and Git folders of Azure Databricks workspaces fresh, with Microsoft Entra tokens."""

__version__ = "0.1.0"
