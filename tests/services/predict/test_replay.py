"""`ossature predict replay`: its fixed contract, on simulated seasons whose true probabilities are known."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from ossature.services.predict.commands import app
from ossature.services.predict.domain import proof, score
from ossature.services.predict.domain.replaying import COLUMNS
from ossature.services.predict.domain.simulate import World, simulate
from ossature.services.predict.providers.matches_odds import read_folder, write_folder
from tests.services.predict.conftest import parquet

FIRST, LAST = "2022-07-01", "2023-06-30"
MODELS = {
    *("base-rate", "elo", "poisson", "results-only", "past-odds", "early-odds", "collective", "collective-market"),
}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return simulate(World(seed=11, seasons=4, leagues=2, teams=12))


@pytest.fixture(scope="module")
def data(rows: list[dict], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_folder(rows, folder / "below", name="simulated")
    return folder


def run(data: Path, out: Path, *more: str) -> Result:
    window = [] if "--from" in more else ["--from", FIRST, "--to", LAST]
    return CliRunner().invoke(app, ["replay", "--data", str(data), "--out", str(out), *window, *more])


@pytest.fixture(scope="module")
def replayed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, pl.DataFrame]:
    out = tmp_path_factory.mktemp("out") / "rows.parquet"
    done = run(data, out, "--with-closing")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1]), pl.read_parquet(out)


def test_the_last_line_says_what_was_done(replayed: tuple[dict, pl.DataFrame]) -> None:
    summary, table = replayed

    wanted = "rows matches days from to models fits fit_s wall_s file_sha256 chain_head version"
    assert set(wanted.split()) <= set(summary)
    assert summary["rows"] == len(table)
    assert summary["matches"] == 2 * 2 * 12 * 11
    assert (summary["from"], summary["to"], summary["fits"]) == (FIRST, LAST, 1)
    assert summary["chain_head"] == table["hash"][-1]


def test_every_match_has_a_row_of_every_model(replayed: tuple[dict, pl.DataFrame]) -> None:
    summary, table = replayed
    before = table.filter(pl.col("phase") == "pre")

    assert table.columns == list(COLUMNS)
    assert set(before["model"]) == MODELS
    assert before.group_by("model").len()["len"].to_list() == [summary["matches"]] * len(MODELS)
    half = table.filter(pl.col("phase") == "half-time")
    assert set(half["model"]) == {"poisson", "past-odds", "collective"}
    assert set(table.filter(pl.col("phase") == "diagnostic")["model"]) == {"market-closing"}
    order = {"pre": 0, "half-time": 1, "diagnostic": 2}
    keys = [(r["date"], order[r["phase"]], r["match_id"], r["model"]) for r in table.iter_rows(named=True)]
    assert keys == sorted(keys)


def test_every_row_is_a_distribution_that_its_own_grid_says(replayed: tuple[dict, pl.DataFrame]) -> None:
    from ossature.services.predict.domain import grid

    table = replayed[1]
    chances = table.select("p_home", "p_draw", "p_away").to_numpy()
    assert (chances > 0).all()
    assert np.abs(chances.sum(axis=1) - 1).max() < 1e-8

    with_grid = table.filter((pl.col("phase") == "pre") & pl.col("lam_home").is_not_null())
    heads = grid.heads(*(with_grid[name].to_numpy() for name in ("lam_home", "lam_away", "rho")))
    assert np.abs(heads.home - with_grid["p_home"].to_numpy()).max() < 1e-6
    assert np.abs(heads.over_2_5 - with_grid["p_over_2_5"].to_numpy()).max() < 1e-6
    without = table.filter(pl.col("model").is_in(["base-rate", "elo"]))
    assert without["lam_home"].is_null().all()


def test_the_chain_holds_and_an_altered_row_breaks_it(replayed: tuple[dict, pl.DataFrame]) -> None:
    rows = replayed[1].head(400).to_dicts()

    assert proof.first_fault(rows) is None
    rows[123]["p_home"] = 0.5
    assert proof.first_fault(rows) == 124


def test_more_knowledge_scores_better_and_nobody_beats_the_truth(
    replayed: tuple[dict, pl.DataFrame], rows: list[dict]
) -> None:
    table = replayed[1].filter(pl.col("phase").is_in(["pre", "diagnostic"]))
    by_id = {row["match_id"]: row for row in rows}

    def worth(model: str, *, truth: bool = False) -> float:
        mine = table.filter(pl.col("model") == model).to_dicts()
        goals = np.array([[by_id[r["match_id"]]["FTHG"], by_id[r["match_id"]]["FTAG"]] for r in mine], dtype=float)
        names = ("true_home", "true_draw", "true_away") if truth else ("p_home", "p_draw", "p_away")
        said = np.array([[(by_id[r["match_id"]] if truth else r)[name] for name in names] for r in mine])
        return float(score.rps(said, score.outcome(goals[:, 0], goals[:, 1])).mean())

    true = worth("elo", truth=True)
    assert true < worth("early-odds") < worth("results-only") < worth("base-rate")
    assert true < worth("past-odds") < worth("base-rate")
    assert worth("past-odds") < worth("collective") < worth("base-rate")  # too few rows: members weigh the same


def test_two_runs_and_three_formats_say_the_same(
    data: Path, tmp_path: Path, replayed: tuple[dict, pl.DataFrame]
) -> None:
    heads, sums = set(), set()
    for name in ("a.parquet", "b.parquet", "c.csv", "d.jsonl"):
        done = run(data, tmp_path / name, "--with-closing", "--json")
        summary = json.loads(done.stdout)
        heads.add(summary["chain_head"])
        sums.add(summary["file_sha256"])

    assert heads == {replayed[0]["chain_head"]}
    assert len(sums) == 3
    lines = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert proof.first_fault(lines) is None
    csv = pl.read_csv(tmp_path / "c.csv", schema=replayed[1].schema).with_columns(pl.col("reasons").fill_null(""))
    assert csv.equals(replayed[1])


@pytest.mark.parametrize("how", ["deleted", "altered"])
def test_rows_up_to_a_day_do_not_change_when_what_comes_after_does(
    rows: list[dict], tmp_path: Path, replayed: tuple[dict, pl.DataFrame], how: str
) -> None:
    cut = date(2022, 11, 19)
    kept = [
        row if row["date"] <= cut else {**row, "FTHG": 9, "PSCH": 1.2, "AvgH": 9.0}
        for row in rows
        if row["date"] <= cut or how == "altered"
    ]
    write_folder(kept, tmp_path, name="cut")

    assert run(tmp_path, tmp_path / "rows.parquet", "--with-closing").exit_code == 0

    before = replayed[1].filter(pl.col("date") <= str(cut))
    assert pl.read_parquet(tmp_path / "rows.parquet").head(len(before)).equals(before)
    assert len(before) > 500


def test_a_fixture_without_a_result_is_priced_and_never_learnt_from(rows: list[dict], tmp_path: Path) -> None:
    played = [row for row in rows if row["date"] < date(2022, 12, 1)]
    coming = [row for row in rows if date(2022, 12, 1) <= row["date"] < date(2022, 12, 20)]
    write_folder(played, tmp_path, name="played")
    pl.DataFrame(coming).write_parquet(tmp_path / "fixtures_next.parquet")

    done = run(tmp_path, tmp_path / "rows.jsonl", "--from", "2022-12-01", "--to", "2022-12-31", "--with-closing")

    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert done.exit_code == 0
    assert {line["match_id"] for line in lines} == {row["match_id"] for row in coming}
    assert {line["phase"] for line in lines} == {"pre"}
    assert {line["trained_until"] for line in lines} == {str(max(row["date"] for row in played))}


def test_a_choice_of_models_phases_and_divisions_is_all_that_comes(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path / "rows.csv", *("--models", "past-odds,elo", "--phases", "pre", "--competitions", "S10"))

    table = pl.read_csv(tmp_path / "rows.csv")
    assert done.exit_code == 0
    assert set(table["model"]) == {"elo", "past-odds"}
    assert set(table["div"]) == {"S10"}


def test_a_team_that_is_new_makes_forecasts_abstain_and_still_have_probabilities(
    rows: list[dict], tmp_path: Path
) -> None:
    known = [row for row in rows if row["date"] < date(2022, 9, 1)]
    newcomer = {**known[-1], "match_id": "0" * 12, "home": "Newcomers"}
    write_folder([*known, newcomer], tmp_path, name="new")

    run(tmp_path, tmp_path / "rows.jsonl", "--models", "past-odds,early-odds", "--phases", "pre")

    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    by_model = {line["model"]: line for line in lines if line["home"] == "Newcomers"}
    assert by_model["past-odds"]["abstained"] is True
    assert by_model["past-odds"]["reasons"] == "unknown_team"
    assert by_model["past-odds"]["p_home"] > 0
    assert by_model["early-odds"]["abstained"] is False


@pytest.mark.parametrize("refit", ["monthly", "90d"])
def test_fits_come_as_often_as_asked(data: Path, tmp_path: Path, refit: str) -> None:
    done = run(data, tmp_path / "rows.csv", "--refit", refit, "--models", "elo", "--phases", "pre")

    assert json.loads(done.stdout)["fits"] == (12 if refit == "monthly" else 5)


def test_bad_input_ends_with_code_3_and_names_what_is_wrong(rows: list[dict], tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    missing = run(tmp_path / "nowhere", out)
    assert (missing.exit_code, "nowhere" in missing.stderr) == (3, True)

    pl.DataFrame(rows[:20]).drop("div").write_parquet(tmp_path / "matches_odds_a.parquet")
    lacking = run(tmp_path, out)
    assert (lacking.exit_code, "matches_odds_a.parquet: column div" in lacking.stderr) == (3, True)

    write_folder(rows, tmp_path, name="a")
    empty = run(tmp_path, out, "--from", "2050-01-01", "--to", "2050-12-31")
    assert (empty.exit_code, "no match from 2050" in empty.stderr) == (3, True)

    write_folder([{**rows[0], "FTHG": 8}], tmp_path, name="b")
    twice = run(tmp_path, out)
    assert (twice.exit_code, f"match {rows[0]['match_id']}" in twice.stderr) == (3, True)
    assert [path.name for path in tmp_path.iterdir() if "rows" in path.name] == []


def test_a_file_that_cannot_be_read_is_named(rows: list[dict], tmp_path: Path) -> None:
    spoilt = ({**rows[0], "FTHG": "two"}, {**rows[0], "date": "some day"})
    for content in (b"PAR1", *(parquet([row]) for row in spoilt)):
        (tmp_path / "matches_odds_a.parquet").write_bytes(content)
        done = run(tmp_path, tmp_path / "rows.parquet")
        assert (done.exit_code, "matches_odds_a.parquet" in done.stderr) == (3, True)


def test_a_replay_into_no_folder_ends_before_it_begins(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path / "nowhere" / "rows.parquet")
    assert (done.exit_code, "nowhere" in done.stderr) == (3, True)


def test_equal_rows_in_two_files_are_one_match(rows: list[dict], tmp_path: Path) -> None:
    write_folder(rows[:40], tmp_path, name="a")
    write_folder(rows[20:60], tmp_path, name="b")

    assert len(read_folder(tmp_path)) == 60


@pytest.mark.parametrize(
    "options", [("--models", "oracle"), ("--refit", "weekly"), ("--phases", "late"), ("--kinds", "cup")]
)
def test_a_word_that_is_not_known_is_a_usage_error(data: Path, tmp_path: Path, options: tuple[str, str]) -> None:
    done = run(data, tmp_path / "rows.csv", *options)

    assert done.exit_code == 2
    assert options[1] in done.stderr


def test_nations_learn_for_themselves_and_on_neutral_grounds(rows: list[dict], tmp_path: Path) -> None:
    write_folder(rows, tmp_path, name="clubs")
    nations = [
        {
            "date": row["date"],
            "home_team": row["home"],
            "away_team": row["away"],
            "home_score": row["FTHG"],
            "away_score": row["FTAG"],
            "tournament": "Cup",
            "neutral": n % 3 == 0,
        }
        for n, row in enumerate(rows)
        if row["div"] == "S00"
    ]
    pl.DataFrame(nations).write_parquet(tmp_path / "international_cc0_all.parquet")

    alone = run(tmp_path, tmp_path / "clubs.jsonl", "--phases", "pre")
    done = run(tmp_path, tmp_path / "rows.jsonl", "--include", "international", "--phases", "pre")

    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    of_nations = [line for line in lines if line["kind"] == "international"]
    assert (alone.exit_code, done.exit_code, proof.first_fault(lines)) == (0, 0, None)
    assert {line["div"] for line in of_nations} == {"INT"}
    assert {line["model"] for line in of_nations} == {*MODELS} - {"early-odds", "collective-market"}
    chances = {(line["match_id"], line["model"]): line["p_home"] for line in of_nations}
    assert all(chances[match, "past-odds"] == chances[match, "results-only"] for match, _ in chances)
    clubs = [json.loads(line) for line in (tmp_path / "clubs.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["kind"] != "international"]
    assert [line["p_home"] for line in kept] == [line["p_home"] for line in clubs]


def test_simulate_writes_what_replay_reads(tmp_path: Path) -> None:
    made = CliRunner().invoke(
        app, ["simulate", "--seed", "5", "--seasons", "4", "--leagues", "1", "--teams", "8", "--out", str(tmp_path)]
    )
    report = tmp_path / "report.json"

    done = run(tmp_path, tmp_path / "rows.csv", "--report", str(report))

    assert made.stdout.strip().endswith("matches_odds_simulated_5.parquet")
    assert done.exit_code == 0
    found = {each["model"]: each for each in json.loads(report.read_text()) if each["phase"] == "pre"}
    assert set(found) == MODELS
    assert found["past-odds"]["n"] == 2 * 8 * 7
    assert found["base-rate"]["to_closing"]["mean"] > 0


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_evaluate_reads_what_replay_wrote_and_names_a_row_that_was_altered(
    data: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"rows.{ending}"
    run(data, path, "--models", "elo,past-odds", "--with-closing")
    options = ["evaluate", "--predictions", str(path), "--data", str(data)]

    done = CliRunner().invoke(app, [*options, "--json"])

    found = {(each["phase"], each["model"]): each for each in json.loads(done.stdout)}
    assert done.exit_code == 0
    assert found["diagnostic", "market-closing"]["to_closing"]["mean"] == pytest.approx(0, abs=1e-6)
    assert found["half-time", "past-odds"]["rps"] < found["pre", "past-odds"]["rps"] < found["pre", "elo"]["rps"]
    assert "past-odds" in CliRunner().invoke(app, options).stdout

    if ending == "jsonl":
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], lines[1].replace('"abstained":false', '"abstained":true'), *lines[2:]]))
        broken = CliRunner().invoke(app, options)
        assert (broken.exit_code, "row 2" in broken.stderr) == (1, True)


def test_evaluate_refuses_what_is_no_file_of_predictions(data: Path, tmp_path: Path) -> None:
    spoilt = {
        "words.jsonl": b"so it is\n",
        "list.jsonl": b"[1]\n",
        "row.jsonl": b'{"p_home":0.5}\n',
        "a.parquet": b"PAR1",
    }
    for name, content in spoilt.items():
        (tmp_path / name).write_bytes(content)
    for path in (tmp_path / "nothing.parquet", next(data.rglob("*.parquet")), *map(tmp_path.joinpath, spoilt)):
        done = CliRunner().invoke(app, ["evaluate", "--predictions", str(path), "--data", str(data)])
        assert (done.exit_code, path.name in done.stderr) == (3, True)
