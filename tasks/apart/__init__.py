"""Replies judged in a process apart, so that a prompt's own code cannot hang, crash or swell the one that asks."""
