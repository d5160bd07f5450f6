"""See the package."""

import sys

from components.kubeflow_entrypoint.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
