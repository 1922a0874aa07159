"""Work that may hang, crash or swell, in a child process that is asked over pipes, and killed where it must be."""
