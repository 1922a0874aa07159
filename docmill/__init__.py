"""docmill turns documents into checked, priced, structured answers."""

__version__ = "0.1.0"
