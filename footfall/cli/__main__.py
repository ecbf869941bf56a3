"""`python -m footfall.cli` is `footfall`, whatever the PATH: how the supervisor starts its processes."""

from footfall.cli import main

main()
