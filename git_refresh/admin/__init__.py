"""Clients and decisions for commands that use the Azure CLI account of an admin. Never deployed."""
