"""Makes the tests a package, so that pytest and mypy import its helpers by the same name."""
