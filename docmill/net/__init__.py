"""Addresses that others named: which may be called, and how a document is fetched from one."""
