"""`python -m tests.minihub --root DIR` serves until it is ended, and prints `MINIHUB http://127.0.0.1:PORT`."""

import argparse
from pathlib import Path

from tests.minihub.auth import USERS
from tests.minihub.server import Settings, serve


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.minihub",
        description="A small Hugging Face Hub on 127.0.0.1.",
        epilog="Clients: HF_ENDPOINT=http://127.0.0.1:PORT HF_TOKEN=hf_alice, a fresh HF_HOME, and "
        "HF_HUB_DISABLE_XET=1 unless --xet is given; all read when Python starts.",
    )
    parser.add_argument("--root", type=Path, required=True, help="folder that keeps repositories and objects")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--users", default=USERS, help="TOKEN=USER:ROLE[:ORG+ORG],...; a role is read or write")
    parser.add_argument("--xet", action="store_true", help="accept hf_xet uploads, the clients' default, too")
    parser.add_argument("--page", type=int, default=1000, help="entries per page of a listing")
    parser.add_argument("--multipart-above", type=int, default=5 << 30, help="bytes from which LFS goes in parts")
    parser.add_argument("--part-size", type=int, default=16 << 20, help="bytes of each part but the last")
    parser.add_argument("--stop-at-eof", action="store_true", help="end when standard input does")
    serve(Settings(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
