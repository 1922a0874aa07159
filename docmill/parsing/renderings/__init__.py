"""How texts write words, numbers, dates and times, in the languages and digits of the world; pure."""
