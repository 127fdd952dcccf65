"""Clients of the services. Every call has a time limit, and every response is validated."""
