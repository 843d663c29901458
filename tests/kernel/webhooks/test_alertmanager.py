"""What Alertmanager says reaches those who run the platform, and nobody else may say it."""

from pathlib import Path
from typing import Any

import httpx

from ossature.kernel.testing.houses import Home, open_house

PASSWORD = "correct horse battery staple 7"
ALERT = {
    "status": "firing",
    "labels": {"alertname": "JobsWait", "severity": "warning", "queue": "mail"},
    "annotations": {"summary": "A job waits", "runbook_url": "https://docs.example.org/runbook/jobs-wait.html"},
    "startsAt": "2031-03-01T08:00:00.123+01:00",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus:9090/graph",
    "fingerprint": "a1b2",
}
GROUP: dict[str, Any] = {
    "version": "4",
    "status": "firing",
    "receiver": "ossature",
    "groupKey": '{}:{alertname="JobsWait"}',
    "truncatedAlerts": 0,
    "groupLabels": {"alertname": "JobsWait"},
    "commonLabels": {"alertname": "JobsWait"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [ALERT],
}
PATH = "/v1/webhooks/alertmanager"


async def person(http: httpx.AsyncClient, name: str, role: str) -> str:
    """The id of a user."""
    user = {"email": f"{name}@example.org", "name": name, "roles": [role], "password": PASSWORD}
    made = await http.post("/v1/auth/users", json=user)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def inbox(home: Home, name: str) -> list[dict[str, Any]]:
    async with home.client(secret=None) as http:
        login = await http.post("/v1/auth/login", json={"email": f"{name}@example.org", "password": PASSWORD})
        found = await http.get("/v1/inbox", headers={"Authorization": f"Bearer {login.json()['access_token']}"})
    items: list[dict[str, Any]] = found.json()["items"]
    return items


async def test_administrators_and_owners_are_told_with_the_page_that_says_what_to_do(
    tmp_path: Path, database_url: str
) -> None:
    async with open_house(var_dir=tmp_path, database_url=database_url) as home, home.client() as http:
        for name, role in (("ada", "platform_admin"), ("omar", "owner"), ("ulla", "user")):
            await person(http, name, role)
        told = await http.post(PATH, json=GROUP)
        assert (told.status_code, told.json()) == (200, {"told": 2})
        (read,) = await inbox(home, "ada")
        assert len(await inbox(home, "omar")) == 1
        assert await inbox(home, "ulla") == []

    assert read["title"] == "JobsWait: 1 firing"
    assert read["body"].splitlines() == [
        "[warning, firing] 2031-03-01 07:00:00 UTC: A job waits",
        "  https://docs.example.org/runbook/jobs-wait.html",
    ]


async def test_of_a_flood_the_first_are_told_and_what_is_over_is_not_counted(tmp_path: Path, sqlite_url: str) -> None:
    over = {**ALERT, "status": "resolved", "endsAt": "2031-03-01T09:00:00Z", "annotations": {}}
    async with open_house(var_dir=tmp_path, database_url=sqlite_url) as home, home.client() as http:
        await person(http, "ada", "platform_admin")
        flood = {**GROUP, "alerts": [over, *[ALERT] * 29], "truncatedAlerts": 70}
        assert (await http.post(PATH, json=flood)).json() == {"told": 1}
        (read,) = await inbox(home, "ada")

    assert read["title"] == "JobsWait: 99 firing"
    assert read["body"].splitlines()[0] == "[warning, resolved] 2031-03-01 09:00:00 UTC: JobsWait"
    assert read["body"].splitlines()[-1] == "... (+80)"


async def test_only_a_key_of_the_platform_may_tell_and_only_in_the_form_of_alertmanager(
    tmp_path: Path, sqlite_url: str
) -> None:
    async with open_house(var_dir=tmp_path, database_url=sqlite_url) as home, home.client() as http:
        of_tenant = (await http.post("/v1/auth/keys", json={"name": "robot", "roles": ["owner"]})).json()["secret"]
        async with home.client(secret=of_tenant) as robot:
            assert (await robot.post(PATH, json=GROUP)).status_code == 403
        assert (await http.post(PATH, json={**GROUP, "version": "5"})).status_code == 422
        assert (await http.post(PATH, json={**GROUP, "alerts": []})).status_code == 422
        assert (await http.post(PATH, json=GROUP)).json() == {"told": 0}
