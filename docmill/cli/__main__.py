"""``python -m docmill.cli``."""

from docmill.cli import main

main()
