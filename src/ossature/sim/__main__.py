"""`python -m ossature.sim`."""

import sys

from ossature.sim.run import main

if __name__ == "__main__":
    sys.exit(main())
