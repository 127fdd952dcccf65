"""Clients and decisions for commands with the Azure CLI account of an admin. Never deployed."""
