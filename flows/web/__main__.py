"""``python -m flows.web``."""

from flows.web.service import main

if __name__ == "__main__":
    main()
