"""Adapters behind the port `webhook.ports.Source`."""
