"""Import, predict, freeze, score: a round as the service plays it, on both databases."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from sqlalchemy import Connection

from ossature.kernel.context import SYSTEM_TENANT
from ossature.kernel.db.appendonly import lifted
from ossature.kernel.db.engine import Database
from ossature.kernel.db.listing import ListQuery
from ossature.services.predict.domain.facts import (
    ImportInvalid,
    MatchContradicted,
    NothingToLearn,
    SimulatedMixed,
)
from ossature.services.predict.domain.matches import CHAMPION, Match, Prediction
from ossature.services.predict.domain.proof import first_fault
from ossature.services.predict.domain.replaying import Request
from ossature.services.predict.providers.matches_odds import PRICES, read_folder, write_folder
from ossature.services.predict.store import catalogue, facts, models, predictions
from ossature.services.predict.store.tables import PredictionRow
from ossature.services.predict.usecases.freezing import freeze_due, verify_chain
from ossature.services.predict.usecases.importing import import_file
from ossature.services.predict.usecases.looking import MatchView, read_match, read_worth
from ossature.services.predict.usecases.pricing import Priced, price_matches
from ossature.services.predict.usecases.replay import replay
from ossature.services.predict.usecases.scoring import score_due
from tests.services.predict.conftest import MIDNIGHT, START, WEEK, Predict, parquet

KICKOFF = datetime(2022, 10, 3, 14, tzinfo=UTC)
"""Of the first matches of the week: at three in London."""


async def _matches(predict: Predict) -> list[Match]:
    async with predict.ctx() as ctx:
        found = await catalogue.list_matches(ctx.db, ctx.tenant.id, ListQuery(limit=500))
    return list(found.items)


async def _rows(predict: Predict) -> list[Prediction]:
    async with predict.ctx() as ctx:
        head = await predictions.hold(ctx.db, ctx.tenant.id)
        found = await predictions.numbered(ctx.db, ctx.tenant.id, range(1, head.seq + 1))
    return [found[seq] for seq in sorted(found)]


async def _priced(predict: Predict) -> Priced:
    async with predict.ctx() as ctx:
        return await price_matches(ctx)


async def _frozen(predict: Predict) -> int:
    async with predict.ctx() as ctx:
        return await freeze_due(ctx)


async def _scored(predict: Predict) -> int:
    async with predict.ctx() as ctx:
        return await score_due(ctx)


async def _view(predict: Predict, match_id: UUID) -> MatchView:
    async with predict.ctx() as ctx:
        return await read_match(ctx, match_id)


async def _everything(predict: Predict) -> list[Any]:
    """What is known, without ids and the instants at which rows were written."""
    async with predict.ctx() as ctx:
        known = await facts.known_at(ctx.db, ctx.tenant.id, predict.at.now() + timedelta(seconds=1))
        quotes = await facts.quotes_of(ctx.db, ctx.tenant.id, [one.id for one in known])
    codes = {one.id: one.code for one in known}
    shown = [(one.code, one.home, one.away, one.score, sorted(one.counts.items()), one.kickoff_at) for one in known]
    return shown + sorted((codes[one.match_id], one.number, str(one.quote), one.seen.at) for one in quotes)


async def test_what_is_predicted_is_what_a_replay_of_the_same_data_says(predict: Predict, tmp_path: Path) -> None:
    await predict.predicted()

    write_folder(predict.league, tmp_path / "data", name="league")
    request = Request(first=WEEK[0], last=WEEK[1], models=(CHAMPION,), phases=("pre",))
    _, replayed = replay([read_folder(tmp_path / "data")], request, tmp_path / "rows.jsonl")
    stored = [json.loads(one.body) for one in await _rows(predict)]

    apart = {"seq", "prev_hash", "hash", "as_of"}  # a replay says of each match that it was priced on its own morning
    said = {row["match_id"]: {name: value for name, value in row.items() if name not in apart} for row in replayed}
    assert len(stored) == 6
    assert {row["match_id"]: {k: v for k, v in row.items() if k not in apart} for row in stored} == said
    assert {row["as_of"] for row in stored} == {"2022-10-01T00:00:00Z"}


async def test_the_rows_of_the_database_are_a_chain_as_a_file_has_it(predict: Predict) -> None:
    await predict.predicted()

    rows = await _rows(predict)

    assert first_fault([{**json.loads(one.body), "hash": one.hash} for one in rows]) is None
    async with predict.ctx() as ctx:
        verdict = await verify_chain(ctx)
    assert (verdict.intact, verdict.checked, verdict.last_seq) == (True, 6, 6)


async def test_the_same_file_thrice_or_shuffled_changes_nothing(predict: Predict) -> None:
    rows = predict.before(date(2020, 1, 1))
    first = await predict.take(rows)
    before = await _everything(predict)

    shuffled = random.Random(3).sample(rows, len(rows))
    again = [await predict.take(rows), await predict.take(shuffled), await predict.take(shuffled[:10] + shuffled[:10])]

    assert (first.new_matches, first.results) == (len(rows), len(rows))
    assert {(one.new_matches, one.results, one.corrections, one.quotes) for one in again} == {(0, 0, 0, 0)}
    assert await _everything(predict) == before


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(
            ("FTHG", 41.0),
            ("HTAG", 9.0),
            ("home", None),
            ("kind", "cup"),
            ("time", "25:00"),
            ("FTAG", None),
            ("HS", -1.0),
        ),
        *(("time", "15:00+02:00"), ("date", date(1, 1, 1)), ("date", date(9999, 12, 31)), ("neutral", "no")),
    ],
)
async def test_a_fault_is_named_by_file_row_and_column(predict: Predict, column: str, value: object) -> None:
    rows = [dict(row) for row in predict.before(date(2019, 9, 1))]
    rows[4][column] = value

    with pytest.raises(ImportInvalid) as refused:
        await predict.take(rows, name="odd.parquet")

    facts_of = {name: refused.value.facts[name] for name in ("file", "row", "column")}
    assert facts_of == {"file": "odd.parquet", "row": 5, "column": column}
    assert refused.value.errors[0].pointer == f"row/5/{column}"
    assert await _matches(predict) == []


async def test_other_files_and_missing_columns_are_refused(predict: Predict) -> None:
    rows = predict.before(date(2019, 9, 1))
    without = [{name: value for name, value in row.items() if name != "season"} for row in rows]

    with pytest.raises(ImportInvalid, match="season"):
        await predict.take(without)
    async with predict.ctx() as ctx:
        for content in (b"", b"PAR1", b"Date,Home\n", parquet(rows)[:-9], b"PAR1" + bytes(500) + b"PAR1"):
            with pytest.raises(ImportInvalid):
                await import_file(ctx, content, name="broken.parquet")


async def test_simulated_and_real_matches_are_not_mixed(predict: Predict) -> None:
    rows = predict.before(date(2019, 9, 1))
    await predict.take(rows)
    real = [{name: value for name, value in row.items() if not name.startswith("true_")} for row in rows]

    with pytest.raises(SimulatedMixed):
        await predict.take([{**row, "match_id": f"real{n}"} for n, row in enumerate(real)])


async def test_too_few_results_teach_nothing(predict: Predict) -> None:
    with pytest.raises(NothingToLearn):
        await _priced(predict)


async def test_nothing_is_predicted_twice(predict: Predict) -> None:
    await predict.predicted()
    before = await _rows(predict)

    predict.at.advance(3600)
    again = await _priced(predict)

    assert (again.predicted, again.unchanged, again.learnt) == (0, 6, False)
    assert await _rows(predict) == before


async def test_new_results_are_a_new_row_for_those_whom_they_concern(predict: Predict) -> None:
    await predict.predicted()
    await predict.take(predict.fixtures(date(2022, 10, 8), date(2022, 10, 14)))
    predict.move_to(datetime(2022, 10, 5, tzinfo=UTC))
    assert await _priced(predict) == Priced(predicted=6, unchanged=0, learnt=False)

    await predict.take(predict.played(date(2022, 10, 3), date(2022, 10, 4)))
    predict.at.advance(1)

    assert (await _priced(predict)).predicted == 6
    rows = await _rows(predict)
    assert len({one.match_id for one in rows[6:]}) == 6
    assert [one.p for one in rows[6:12]] != [one.p for one in rows[12:]]


async def test_the_last_row_before_kick_off_is_official_and_stays_the_last(predict: Predict) -> None:
    await predict.predicted()
    assert await _frozen(predict) == 0

    predict.move_to(KICKOFF - timedelta(seconds=59))
    assert await _frozen(predict) == 3
    assert await _frozen(predict) == 0

    found = [one for one in await _matches(predict) if one.kickoff_at == KICKOFF]
    for match in found:
        view = await _view(predict, match.id)
        assert view.official == view.newest
        assert view.official is not None
        assert view.official.as_of < match.kickoff_at
    corrected = predict.before(START)[-1]
    await predict.take([{**corrected, "FTHG": corrected["FTHG"] + 2}])
    predict.at.advance(1)
    assert 1 <= (await _priced(predict)).predicted <= 3
    official = {one.id: one for one in found}
    for one in (await _rows(predict))[6:]:
        assert one.match_id not in official


async def test_a_freeze_that_comes_late_takes_what_was_said_before_kick_off(predict: Predict) -> None:
    await predict.predicted()

    predict.move_to(KICKOFF + timedelta(days=2))

    assert await _frozen(predict) == 6
    (match, *_) = [one for one in await _matches(predict) if one.kickoff_at == KICKOFF]
    view = await _view(predict, match.id)
    assert view.official is not None
    assert view.official.as_of == MIDNIGHT


async def test_a_match_that_moves_is_frozen_again_and_the_old_freeze_stays(predict: Predict) -> None:
    await predict.predicted()
    predict.move_to(KICKOFF - timedelta(seconds=30))
    await _frozen(predict)
    rows = predict.fixtures(*WEEK)
    moved = [{**row, "time": "19:00"} if row["date"] == KICKOFF.date() else row for row in rows]

    await predict.take(moved)
    predict.at.advance(1)
    assert (await _priced(predict)).predicted == 3
    predict.move_to(KICKOFF + timedelta(hours=3, seconds=59 * 60))

    assert await _frozen(predict) == 3
    match = next(one for one in await _matches(predict) if one.kickoff_at == KICKOFF + timedelta(hours=4))
    async with predict.ctx() as ctx:
        kept = await predictions.freezes(ctx.db, ctx.tenant.id, [match.id])
    assert [one.kickoff_at for one in kept] == [KICKOFF, KICKOFF + timedelta(hours=4)]


async def _played_out(predict: Predict) -> Sequence[Match]:
    await predict.predicted()
    predict.move_to(KICKOFF + timedelta(days=2))
    await _frozen(predict)
    await predict.take(predict.played(*WEEK))
    return [one for one in await _matches(predict) if one.day >= START]


async def test_a_result_is_scored_once(predict: Predict) -> None:
    matches = await _played_out(predict)

    assert await _scored(predict) == 6
    assert await _scored(predict) == 0

    rows = {row["match_id"]: row for row in predict.played(*WEEK)}
    for match in matches:
        view = await _view(predict, match.id)
        (score,) = view.scores
        assert view.official is not None
        home, draw, _ = view.official.p
        row = rows[match.code]
        won, level = row["FTHG"] > row["FTAG"], row["FTHG"] == row["FTAG"]
        assert score.rps == pytest.approx(((home - won) ** 2 + (home + draw - won - level) ** 2) / 2)
        assert score.reason == "final"
        assert score.market_rps is not None


async def test_a_correction_is_a_revision_with_a_score_of_its_own(predict: Predict) -> None:
    matches = await _played_out(predict)
    await _scored(predict)
    rows = predict.played(*WEEK)
    wrong = {**rows[0], "FTHG": rows[0]["FTHG"] + 3, "FTAG": 0, "HTAG": 0}
    said = await _rows(predict)

    done = await predict.take([wrong, *rows[1:]])

    assert (done.results, done.corrections) == (1, 1)
    assert await _scored(predict) == 1
    match = next(one for one in matches if one.code == wrong["match_id"])
    view = await _view(predict, match.id)
    assert [(one.match_revision, one.reason) for one in view.scores] == [(1, "final"), (2, "corrected")]
    assert (view.match.revision, view.match.score and view.match.score.home) == (2, wrong["FTHG"])
    assert await _rows(predict) == said


async def test_a_fixture_does_not_take_a_result_away(predict: Predict) -> None:
    await _played_out(predict)

    done = await predict.take(predict.fixtures(*WEEK))

    assert (done.results, done.corrections) == (0, 0)
    assert {one.status.value for one in await _matches(predict) if one.day >= START} == {"finished"}


async def test_what_predictions_were_worth_together(predict: Predict) -> None:
    await _played_out(predict)
    await _scored(predict)

    async with predict.ctx() as ctx:
        worth = await read_worth(ctx)
        nothing = await read_worth(ctx, competition="S09")

    assert worth.summary is not None
    assert worth.summary.n == 6
    assert worth.gap is not None
    assert worth.gap.low <= worth.gap.mean <= worth.gap.high
    assert sum(one.n for one in worth.reliability) == 18
    assert (worth.missed, nothing.summary, nothing.reliability) == (0, None, ())


async def test_the_database_refuses_to_change_what_was_said(predict: Predict) -> None:
    await _played_out(predict)
    await _scored(predict)

    for table in ("prediction", "freeze", "score", "observation", "odds"):
        for statement in ("UPDATE {} SET created_at = created_at", "DELETE FROM {}"):
            with pytest.raises(Exception, match="append-only"):
                async with predict.ctx() as ctx:
                    await ctx.db.write_text(statement.format(f"predict_{table}"))


async def test_a_row_that_was_altered_behind_the_triggers_is_named(predict: Predict) -> None:
    await predict.predicted()
    database = predict.home.house.database

    await _behind_the_guards(database, "UPDATE predict_prediction SET p_home = 0.9 WHERE seq = 3")
    async with predict.ctx() as ctx:
        altered = await verify_chain(ctx)
    await _behind_the_guards(database, "DELETE FROM predict_prediction WHERE seq >= 5")
    async with predict.ctx() as ctx:
        shortened = await verify_chain(ctx)

    assert [(one.seq, one.where) for one in altered.faults] == [(3, "p_home")]
    assert [(one.seq, one.where) for one in shortened.faults] == [(3, "p_home"), (5, "row")]


async def _behind_the_guards(database: Database, statement: str) -> None:
    table = PredictionRow.__table__

    def change(connection: Connection) -> None:
        with lifted(connection, table):
            connection.exec_driver_sql(statement)

    if database.embedded:
        with database.sqlite.begin() as connection:
            change(connection)
        return
    async with database.postgres.begin() as opened:
        await opened.run_sync(change)


async def test_what_is_due_is_frozen_and_scored_without_anybody_asking(predict: Predict) -> None:
    await predict.predicted()
    predict.move_to(KICKOFF + timedelta(days=2))
    await predict.take(predict.played(*WEEK))
    house, worker = predict.home.house, predict.home.house.worker()

    for name in ("predict.freeze_all", "predict.price_all"):
        async with house.database.begin() as db:
            await house.jobs.enqueue(db, house.jobs.registry[name], tenant_id=SYSTEM_TENANT.id)
    for _ in range(4):
        await worker.run_due()

    async with predict.ctx() as ctx:
        worth = await read_worth(ctx)
    assert worth.summary is not None
    assert (worth.summary.n, worth.missed) == (6, 0)


async def test_every_row_is_of_a_model_that_is_registered(predict: Predict) -> None:
    """With its first prices a history gets another model, also on the day on which one was fitted already."""

    def bare(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name not in PRICES} for row in rows]

    await predict.take(bare(predict.before(START)))
    await predict.take(bare(predict.fixtures(*WEEK)))
    predict.move_to(MIDNIGHT)
    assert (await _priced(predict)).learnt

    await predict.take(predict.before(START))
    predict.at.advance(60)
    assert (await _priced(predict)).learnt

    async with predict.ctx() as ctx:
        known = (await models.list_models(ctx.db, ctx.tenant.id, ListQuery(limit=10))).items
    said = {one.model_version for one in await _rows(predict)}
    assert said == {one.version for one in known}
    assert [one.stage for one in known].count("champion") == 1


async def test_a_match_that_is_put_off_is_on_the_day_that_was_known_then(predict: Predict) -> None:
    (row, *_) = predict.fixtures(*WEEK)
    await predict.take([row])
    before = predict.at.now() + timedelta(seconds=1)
    predict.at.advance(60)

    await predict.take([{**row, "date": row["date"] + timedelta(days=9)}])

    async with predict.ctx() as ctx:
        (then,) = await facts.known_at(ctx.db, ctx.tenant.id, before)
        (now,) = await facts.known_at(ctx.db, ctx.tenant.id, predict.at.now() + timedelta(seconds=1))
    (match,) = await _matches(predict)
    assert (then.day, now.day, match.day) == (row["date"], row["date"] + timedelta(days=9), now.day)


async def test_the_name_of_a_match_cannot_be_given_to_another_one(predict: Predict) -> None:
    rows = predict.fixtures(*WEEK)
    await predict.take(rows[:1])

    with pytest.raises(MatchContradicted, match=rows[0]["match_id"]):
        await predict.take([{**rows[0], "home": "Somebody else"}, *rows[1:]])

    (match,) = await _matches(predict)
    assert match.home == rows[0]["home"]


async def test_a_missed_match_is_counted_where_it_was_missed(predict: Predict) -> None:
    await _played_out(predict)
    await predict.take(predict.fixtures(date(2022, 10, 8), date(2022, 10, 14)))
    predict.move_to(datetime(2022, 10, 20, tzinfo=UTC))
    late = [one for one in await _matches(predict) if one.day > WEEK[1]]
    division = late[0].competition

    async with predict.ctx() as ctx:
        whole = await read_worth(ctx)
        here = await read_worth(ctx, competition=division)
        elsewhere = await read_worth(ctx, competition="S09")
        earlier = await read_worth(ctx, last=datetime(2022, 10, 7, tzinfo=UTC))

    of_division = sum(one.competition == division for one in late)
    assert 0 < of_division < len(late)
    assert (whole.missed, here.missed, elsewhere.missed, earlier.missed) == (len(late), of_division, 0, 0)


async def test_a_row_that_was_moved_to_another_match_is_named(predict: Predict) -> None:
    await predict.predicted()
    other = (await _rows(predict))[0].match_id

    where = "match_id = (SELECT match_id FROM predict_prediction WHERE seq = 1)"
    await _behind_the_guards(predict.home.house.database, f"UPDATE predict_prediction SET {where} WHERE seq = 4")

    async with predict.ctx() as ctx:
        verdict = await verify_chain(ctx)
    assert (await _rows(predict))[3].match_id == other
    assert [(one.seq, one.where) for one in verdict.faults] == [(4, "match_id")]


async def test_a_small_file_with_endless_rows_is_refused(predict: Predict) -> None:
    (row, *_) = predict.fixtures(*WEEK)
    held = BytesIO()
    pl.DataFrame([row]).select(pl.all().repeat_by(600_000).explode()).write_parquet(held)
    assert len(held.getvalue()) < 1_000_000

    async with predict.ctx() as ctx:
        with pytest.raises(ImportInvalid, match="600000 rows"):
            await import_file(ctx, held.getvalue(), name="endless.parquet")
