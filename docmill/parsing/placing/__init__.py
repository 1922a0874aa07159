"""Where each value of an answer stands: of several places the one that fits its neighbours."""
