"""Answers of a model that are kept: asked once, given again after an interruption, and never mixed up."""

import asyncio
from pathlib import Path

import pytest

from pitcrew.core.cost import Usage
from pitcrew.core.errors import InvalidInput, ModelUnreachable, Unavailable
from pitcrew.core.evidence import Evidence, Source
from pitcrew.core.prompt import Question, ask_about
from pitcrew.core.resource import Egress, ServiceKey
from pitcrew.entrypoints.evaluation.remembered import Remembered
from pitcrew.ports import Answer

EVIDENCE = (Evidence(id="E1", source=Source.PROBE, key="probe.failing", value="Timeout", text="no answer in time"),)
KEY = ServiceKey("default/victim")


def question(boundary: str = "a" * 16, key: ServiceKey = KEY) -> Question:
    asked = ask_about(key, EVIDENCE, (), boundary=boundary)
    assert asked is not None
    return asked


class Counting:
    """A model that says how often it was asked, or refuses."""

    def __init__(self, model: str = "small/one", refuses: Unavailable | None = None) -> None:
        self.model = model
        self.asked = 0
        self._refuses = refuses

    async def ask(self, question: Question, egress: Egress, *, within_s: float | None = None) -> Answer:
        self.asked += 1
        if self._refuses:
            raise self._refuses
        return Answer(text=f"answer {self.asked} 答", usage=Usage(tokens_in=7, tokens_out=3), way="plain")

    async def close(self) -> None:
        """Nothing is held."""


def ask(model: Remembered, asked: Question) -> Answer:
    return asyncio.run(model.ask(asked, Egress.ANY))


def test_the_same_question_is_asked_once_whatever_its_boundary(tmp_path: Path) -> None:
    asked = Counting()
    model = Remembered(asked, tmp_path)
    assert ask(model, question()) == ask(model, question(boundary="b" * 16))
    assert asked.asked == 1
    assert ask(model, question(key=ServiceKey("default/other"))).text == "answer 2 答"


def test_after_an_interruption_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    first = ask(Remembered(Counting(), tmp_path), question())
    again = Counting()
    model = Remembered(again, tmp_path)
    assert ask(model, question(boundary="b" * 16)) == first
    assert again.asked == 0
    assert model.replayed_s > 0, "what it took when it was asked counts as its seconds"


def test_answers_of_one_model_are_not_those_of_another(tmp_path: Path) -> None:
    ask(Remembered(Counting("one"), tmp_path), question())
    other = Counting("two")
    ask(Remembered(other, tmp_path), question())
    assert other.asked == 1


def test_a_refusal_is_kept_and_an_endpoint_that_was_away_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no whole answer"):
        ask(Remembered(Counting(refuses=Unavailable("no whole answer")), tmp_path), question())
    later = Counting()
    with pytest.raises(Unavailable, match="no whole answer"):
        ask(Remembered(later, tmp_path), question())
    assert later.asked == 0
    away = question(key=ServiceKey("default/away"))
    with pytest.raises(ModelUnreachable):
        ask(Remembered(Counting(refuses=ModelUnreachable("away")), tmp_path), away)
    assert ask(Remembered(Counting(), tmp_path), away).text == "answer 1 答"


def test_a_kept_file_that_is_no_answer_is_named(tmp_path: Path) -> None:
    ask(Remembered(Counting(), tmp_path), question())
    (kept,) = tmp_path.rglob("*.json")
    kept.write_text("{}")
    with pytest.raises(InvalidInput, match=str(kept)):
        ask(Remembered(Counting(), tmp_path), question())
    with pytest.raises(InvalidInput, match="cannot keep answers there"):
        Remembered(Counting(), kept / "below")
