"""The stages: one module each, a plain function of what it works with and its job."""
