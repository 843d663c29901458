"""N2F as a target: users, and the values of the axes of its companies."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from ossature.kernel.outbound.provider import Call
from ossature.services.sync.domain.config import Pipeline, nearest
from ossature.services.sync.domain.plan import Operation
from ossature.services.sync.domain.problems import PipelineInvalid, TargetRefused
from ossature.services.sync.ports import Capabilities, Rows, Target
from ossature.services.sync.providers import n2f_codec as codec
from ossature.services.sync.providers.n2f_account import N2fAccount
from ossature.services.sync.providers.n2f_checks import check_user, check_value

_LOOKUPS = ("companies", "roles", "userprofiles")
_COLLECTIONS = ("users", "axis")


def n2f_target(account: N2fAccount, pipeline: Pipeline) -> Target:
    """The collection that a pipeline names: `users`, or `axis` with the parameter `axis`. Raises: PipelineInvalid."""
    asked = {field.lookup for field in pipeline.map.values() if field.lookup}
    for name in sorted(asked - set(_LOOKUPS)):
        raise PipelineInvalid(f"N2F has no set {name!r} to look up{nearest(name, _LOOKUPS)}.")
    if pipeline.delete.policy == "deactivate":
        raise PipelineInvalid("Nothing is deactivated at N2F; the policy is `never` or `delete`.")
    if pipeline.target.collection == "users":
        _check(pipeline, key=["mail"], fields=codec.USER_FIELDS)
        return N2fUsers(account)
    if pipeline.target.collection == "axis":
        _check(pipeline, key=["company", "code"], fields=codec.VALUE_FIELDS)
        axis = pipeline.target.params.get("axis", "").strip()
        if not axis:
            raise PipelineInvalid('The collection axis needs params = { axis = "..." }: `projects` or a French name.')
        return N2fAxis(account, axis)
    near = nearest(pipeline.target.collection, _COLLECTIONS)
    raise PipelineInvalid(f"N2F has no collection {pipeline.target.collection!r}{near}.")


class _N2fCollection:
    """What both collections do alike."""

    def __init__(self, account: N2fAccount, fields: frozenset[str]) -> None:
        self._account = account
        self._carried: dict[str, dict[str, Any]] = {}
        self.can = Capabilities(settles_after_s=account.call_time_limit_s + account.consistency_s, fields=fields)

    async def ready(self) -> None:
        """Return when one write may be sent at once. Raises: TargetFailed, TargetCredentialRefused."""
        await self._account.ready_to_write()

    async def lookups(self, names: Sequence[str]) -> Mapping[str, Rows]:
        """`companies` (uuid, code, name), `roles` and `userprofiles` (label in any language, the one that is written)."""
        found: dict[str, Rows] = {}
        for name in names:
            found[name] = await (self._companies() if name == "companies" else self._labels(name))
        return found

    async def _companies(self) -> Sequence[codec.Row]:
        return await self._account.known("/companies", "uuid")

    async def _labels(self, name: str) -> list[dict[str, str]]:
        return codec.label_rows(await self._account.known(f"/{name}", ""))

    async def _deleted(self, call: Call) -> None:
        try:
            await self._account.write(call)
        except TargetRefused as refused:
            if not refused.facts.get("gone"):  # what is not there any more needs no removal
                raise


class N2fUsers(_N2fCollection):
    """The users of all companies, by mail. A write is the whole user: what N2F has beside our fields is sent back."""

    def __init__(self, account: N2fAccount) -> None:
        super().__init__(account, codec.USER_FIELDS)

    def check(self, record: Mapping[str, Any]) -> None:
        """Refuse what is no user. Raises: RowRefused."""
        check_user(record)

    async def read_all(self, key: Sequence[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """Every user. Raises: TargetFailed, TargetCredentialRefused."""
        del key
        labels = {}
        for of in codec.LABELS.values():
            rows = await self._labels(of)
            labels[of] = {codec.folded(row["label"]): row["written"] for row in rows}
        users = [codec.user(row, labels) for row in await self._account.records(codec.users_path(), "mail")]
        self._carried = {codec.folded(str(each.get("mail", ""))): each for each in users}
        yield users

    async def write(self, operations: Sequence[Operation], before: Mapping[str, Mapping[str, Any]]) -> None:
        """Carry one operation out. Raises: TargetRefused, TargetUncertain, TargetFailed, TargetCredentialRefused."""
        (one,) = operations
        if one.op == "delete":
            try:
                call = codec.delete_user(str((before.get(one.key) or one.before or {}).get("mail", "")))
            except ValueError as error:
                raise TargetRefused(f"It cannot be said in N2F's words: {error}.") from error
            await self._deleted(call)
            return
        after = one.after or {}
        carried = self._carried.get(codec.folded(str(after.get("mail", ""))), {})
        await self._account.write(codec.put_user(after, carried))


class N2fAxis(_N2fCollection):
    """The values of one axis in every company that has it, by company and code."""

    def __init__(self, account: N2fAccount, axis: str) -> None:
        super().__init__(account, codec.VALUE_FIELDS)
        self._axis = axis

    def check(self, record: Mapping[str, Any]) -> None:
        """Refuse what is no value of an axis. Raises: RowRefused."""
        check_value(record)

    async def read_all(self, key: Sequence[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """Every value, company by company. Raises: TargetFailed, TargetCredentialRefused."""
        del key
        self._carried = {}
        for company in await self._companies():
            uuid = str(company["uuid"])
            axis = await self._axis_of(uuid)
            if axis is None:
                continue
            rows = await self._account.records(codec.values_path(uuid, axis), "code")
            values = [codec.value(row, uuid) for row in rows]
            self._carried |= {f"{uuid}/{each.get('code')}": each for each in values}
            yield values

    async def write(self, operations: Sequence[Operation], before: Mapping[str, Mapping[str, Any]]) -> None:
        """Carry one operation out. Raises: TargetRefused, TargetUncertain, TargetFailed, TargetCredentialRefused."""
        (one,) = operations
        record = (before.get(one.key) or one.before or {}) if one.op == "delete" else (one.after or {})
        uuid = str(record.get("company", ""))
        axis = await self._axis_of(uuid)
        if axis is None:
            raise TargetRefused(f"This company has no axis {self._axis!r}.")
        carried = self._carried.get(f"{uuid}/{record.get('code')}", {})
        try:
            deletes = one.op == "delete"
            call = codec.delete_value(axis, record) if deletes else codec.put_value(axis, record, carried)
        except (ValueError, KeyError) as error:
            raise TargetRefused(f"It cannot be said in N2F's words: {error}.") from error
        await (self._deleted(call) if deletes else self._account.write(call))

    async def _axis_of(self, company: str) -> str | None:
        """The id of the axis in a company; None where it has none."""
        if self._axis == codec.PROJECTS:
            return codec.PROJECTS
        return codec.axis_id(await self._account.known(codec.axes_path(company), "uuid"), self._axis)


def _check(pipeline: Pipeline, *, key: list[str], fields: frozenset[str]) -> None:
    if pipeline.key != key:
        raise PipelineInvalid(f"The key of {pipeline.target.collection} is {', '.join(key)}.")
    for name in pipeline.map:
        if name not in fields:
            near = nearest(name, sorted(fields))
            raise PipelineInvalid(f"N2F knows no field {name!r} in {pipeline.target.collection}{near}.")
