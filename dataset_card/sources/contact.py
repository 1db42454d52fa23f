"""Who is asking: the name that every request carries."""

import re

import httpx2

from files.errors import UserError

VERSION = "0.1.0"


class ContactError(UserError):
    """Nobody says who is asking."""


def user_agent(contact: str) -> str:
    """Returns the name that every request carries: `nritya/0.1.0 (contact) httpx2/2.16.2`.

    Raises:
        ContactError: `contact` is no address at which a person can be reached.
    """
    header = contact.isascii() and contact.isprintable() and not set("()") & set(contact)
    if not header or not re.search(r"\S@\S+\.\S|https?://\S+\.\S", contact):
        found = f"{contact!r} is none" if contact else "there is none"
        raise ContactError(
            f"servers want to know whom to write to, and {found}: give an e-mail address or a web page of yours with "
            "--contact (or NRITYA_CONTACT), such as --contact me@example.org"
        )
    return f"nritya/{VERSION} ({contact.strip()}) httpx2/{httpx2.__version__}"
