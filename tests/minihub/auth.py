"""Who asks, and what they may do: users, their tokens and their organisations."""

from dataclasses import dataclass

from starlette.requests import Request

from tests.minihub.answers import RefusedError

USERS = "hf_alice=alice:write:acme,hf_alice_read=alice:read:acme,hf_bob=bob:write"
ANONYMOUS = "Invalid username or password."


@dataclass(frozen=True)
class User:
    """A user as one of their tokens shows them; a `role` is `read` or `write`."""

    name: str
    role: str
    organisations: tuple[str, ...] = ()

    def owns(self, namespace: str) -> bool:
        return namespace in (self.name, *self.organisations)

    def whoami(self, now: str) -> dict[str, object]:
        """The answer to `whoami-v2`."""
        token = {"displayName": "minihub", "role": self.role, "createdAt": now}
        return {
            "type": "user",
            "id": self.name,
            "name": self.name,
            "fullname": self.name,
            "isPro": False,
            "email": f"{self.name}@example.com",
            "auth": {"type": "access_token", "accessToken": token},
            "orgs": [
                {"type": "org", "id": name, "name": name, "fullname": name, "roleInOrg": "admin"}
                for name in self.organisations
            ],
        }


class Accounts:
    """The users by their tokens, from `TOKEN=USER:ROLE[:ORG+ORG],...`."""

    def __init__(self, users: str) -> None:
        self.by_token: dict[str, User] = {}
        for item in users.split(","):
            token, _, spec = item.strip().partition("=")
            name, role, organisations = f"{spec}::".split(":")[:3]
            if not token or not name or role not in ("", "read", "write"):
                raise ValueError(f"{item.strip()!r} is no TOKEN=USER:ROLE[:ORG+ORG] with the role read or write")
            self.by_token[token] = User(name, role or "write", tuple(o for o in organisations.split("+") if o))

    def user_of(self, request: Request) -> User | None:
        """Who sent a request, `None` for nobody. A wrong token is refused even where none is needed."""
        header = request.headers.get("authorization")
        if not header:
            return None
        user = self.by_token.get(header.removeprefix("Bearer ").strip())
        if not user:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return user


def signed_in(user: User | None) -> User:
    if not user:
        raise RefusedError(401, ANONYMOUS)
    return user


def check_may_contribute(user: User | None, namespace: str, doing: str) -> User:
    """Anybody may open a pull request or a discussion, but not with a read-only token."""
    user = signed_in(user)
    if user.role != "write":
        raise RefusedError(403, f'You don\'t have the rights to {doing} under the namespace "{namespace}"')
    return user


def check_may_write(user: User | None, namespace: str, doing: str) -> User:
    user = check_may_contribute(user, namespace, doing)
    if not user.owns(namespace):
        raise RefusedError(403, f'You don\'t have the rights to {doing} under the namespace "{namespace}"')
    return user
