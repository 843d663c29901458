import pytest

from ossature.kernel.errors import FieldError, InvalidInput, NotFound, Problem, TooManyRequests, catalogue


class HTTPSchemeNotAllowed(InvalidInput):
    """Only used by these tests."""

    title = "Scheme not allowed"


def test_the_slug_follows_from_the_class_name() -> None:
    assert Problem.slug == "problem"
    assert TooManyRequests.slug == "too-many-requests"
    assert HTTPSchemeNotAllowed.slug == "http-scheme-not-allowed"


def test_a_problem_without_detail_says_its_title() -> None:
    assert str(NotFound()) == "Not found"
    assert NotFound().to_dict() == {"slug": "not-found", "title": "Not found", "status": 404}


def test_a_problem_carries_its_facts_errors_and_wait() -> None:
    problem = InvalidInput(
        "Two things.", errors=[FieldError("/a/0", "too small", "greater_than")], retry_after_s=2.5, limit=3
    )

    assert problem.to_dict() == {
        "slug": "invalid-input",
        "title": "Invalid input",
        "status": 422,
        "detail": "Two things.",
        "errors": [{"pointer": "/a/0", "message": "too small", "code": "greater_than"}],
        "retry_after_s": 2.5,
        "limit": 3,
    }


def test_a_class_may_state_a_wait_of_its_own() -> None:
    class Resting(Problem):
        retry_after_s = 7.0

    assert Resting().to_dict()["retry_after_s"] == 7.0
    assert Resting(retry_after_s=1).retry_after_s == 1
    assert Problem().retry_after_s is None


@pytest.mark.parametrize(
    "problem", [one for one in catalogue() if one.__module__.startswith("ossature.")], ids=lambda problem: problem.slug
)
def test_every_problem_of_the_catalogue_is_documented(problem: type[Problem]) -> None:
    assert 400 <= problem.status < 600
    assert problem.__doc__
    assert problem.title[0].isupper()


def test_parents_come_before_children() -> None:
    order = list(catalogue())

    assert all(
        order.index(parent) < order.index(child) for child in order for parent in child.__bases__ if parent in order
    )
