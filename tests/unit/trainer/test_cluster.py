"""What `TF_CONFIG` may say, and what is told where it cannot be right."""

import json
from typing import Any

import pytest

from trainer.cluster import from_environment
from trainer.errors import ConfigurationError

TWO: dict[str, Any] = {
    "cluster": {"chief": ["one:2222"], "worker": ["two:2222"]},
    "task": {"type": "worker", "index": 0},
}


def environment(content: Any) -> dict[str, str]:
    return {"TF_CONFIG": content if isinstance(content, str) else json.dumps(content)}


def test_the_chief_is_the_first_of_all() -> None:
    found = from_environment(environment({**TWO, "task": {"type": "chief", "index": 0}}))
    assert found is not None
    assert (found.is_chief, found.number, found.all_addresses) == (True, 0, ("one:2222", "two:2222"))
    other = from_environment(environment(TWO))
    assert other is not None
    assert (other.is_chief, other.number, other.name) == (False, 1, "worker 0 (two:2222)")


def test_without_a_chief_it_is_the_first_worker() -> None:
    cluster = {"worker": ["one:2222", "two:2222", "three:2222"]}
    found = [
        from_environment(environment({"cluster": cluster, "task": {"type": "worker", "index": index}}))
        for index in (0, "2")
    ]
    assert [each and (each.is_chief, each.number) for each in found] == [(True, 0), (False, 2)]


@pytest.mark.parametrize(
    "content",
    ["", "  ", {}, {"task": {"type": "worker", "index": 0}}, {"cluster": {"worker": ["one:2222"]}}],
    ids=str,
)
def test_one_machine_alone_is_as_without(content: Any) -> None:
    assert from_environment(environment(content)) is None
    assert from_environment({}) is None


def changed(**changes: Any) -> dict[str, Any]:
    return {**TWO, **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"it is no JSON \(Expecting property name.*\): '\{'"),
        ("[]", r"it is \[\], but must be an object"),
        (changed(cluster=["one:2222"]), r"its cluster is \['one:2222'\], but must be an object"),
        (changed(cluster={**TWO["cluster"], "ps": ["three:2222"]}), r"parameter servers \(ps\).*leave them out"),
        (changed(cluster={**TWO["cluster"], "wroker": ["three:2222"]}), "tasks of the type 'wroker'; there are chief"),
        (changed(cluster={"worker": "one:2222"}), "cluster.worker is 'one:2222', but must be a list of host:port"),
        (changed(cluster={"worker": ["one", "two"]}), "must be a list of host:port"),
        (changed(cluster={"chief": ["one:1", "two:1"]}), "its cluster has 2 chiefs; name one"),
        (changed(cluster={"worker": ["one:1", "one:1"]}), "names one:1 twice"),
        ({"cluster": TWO["cluster"]}, "a cluster, but no task"),
        (changed(task={"type": "evaluator", "index": 0}), "task.type is 'evaluator', but the cluster has chief and w"),
        (changed(task={"index": 0}), "task.type is None"),
        (changed(task={"type": "worker"}), "task.index is None, but the cluster has worker 0"),
        (changed(task={"type": "worker", "index": 1}), "task.index is 1, but the cluster has worker 0"),
        (changed(task={"type": "worker", "index": -1}), "task.index is -1"),
    ],
)
def test_what_cannot_be_right_is_told_with_the_remedy(content: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^TF_CONFIG: .*{message}.*unset it to train on this machine alone$"):
        from_environment(environment(content))
