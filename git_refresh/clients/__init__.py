"""Clients of the services: bounded, retried, validated. Only `app` (composition root) imports them."""
