"""`python -m unmist` is `unmist`."""

from unmist.cli.main import main

raise SystemExit(main())
