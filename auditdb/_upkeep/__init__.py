"""Which database, its migrations, its maintenance, what is wrong with it."""
