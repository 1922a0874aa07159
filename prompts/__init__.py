"""Prompts: versioned files, one folder a prompt."""
