"""``python -m docmill``."""

from docmill.command import main

main()
