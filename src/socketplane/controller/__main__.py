"""`python -m socketplane.controller`."""

from socketplane.controller.main import main

main()
