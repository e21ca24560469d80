"""`python -m jobs.cli`: the same as `personalake`."""

from jobs.cli.app import main

main()
