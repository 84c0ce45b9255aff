"""`python -m haven_cli` is `haven`."""

from haven_cli.main import app

if __name__ == "__main__":
    app()
