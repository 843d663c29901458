"""The context stays small (decision 0002)."""

from ossature.kernel.context import Ctx


def test_ctx_has_exactly_eleven_public_names() -> None:
    names = {name for name in dir(Ctx) if not name.startswith("_")}

    assert names == {
        "tenant", "actor", "now", "id", "db", "settings",
        "ask", "port", "publish", "enqueue", "audit",
    }  # fmt: skip
