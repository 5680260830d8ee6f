"""`python -m flowfm_tsai`: the command `flowfm`, such as for `accelerate launch -m flowfm_tsai`."""
import sys
from .cli import main

if __name__ == '__main__': sys.exit(main())
