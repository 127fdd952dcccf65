"""Get the emulator: `python -m tools.azurite`."""

from tools.azurite import install

if __name__ == "__main__":
    install()
