"""`python -m footfall.cli` is `footfall`, whatever the PATH: how our processes start others (child.py)."""

from footfall.cli import main

main()
