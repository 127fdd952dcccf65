"""Get the language service: `python -m tools.kql`."""

from tools.kql import install

if __name__ == "__main__":
    install()
