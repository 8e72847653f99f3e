"""`python -m vidperc`."""

from vidperc.cli import main

main()
