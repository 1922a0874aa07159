"""The pages: one module each, over the same queries as the API and the command."""
