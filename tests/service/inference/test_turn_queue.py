"""Turn queue: items of equal cost from each client."""

from collections import Counter

from oodguard.service.inference.turn_queue import TurnQueue


def take(queue: TurnQueue[str], cost: int) -> str:
    item = queue.first()
    queue.advance(cost)
    return item


def test_turn_queue_is_first_in_first_out_for_one_client() -> None:
    queue = TurnQueue[str]()
    for item in "abc":
        queue.put("client", item)
    assert [take(queue, cost) for cost in (5, 0, 1)] == ["a", "b", "c"]
    assert not queue


def test_turn_queue_takes_equal_costs_from_each_client() -> None:
    queue = TurnQueue[str]()
    costs = {"large": 10, "small": 1, "medium": 5}
    for client in costs:
        for _ in range(100):
            queue.put(client, client)
    taken = Counter[str]()
    for _ in range(64):
        client = queue.first()
        queue.advance(costs[client])
        taken[client] += costs[client]
    assert max(taken.values()) - min(taken.values()) <= max(costs.values())


def test_turn_queue_gives_a_new_client_the_next_turn_and_no_credit() -> None:
    queue = TurnQueue[str]()
    for _ in range(5):
        queue.put("a", "a")
    assert [take(queue, 10) for _ in range(2)] == ["a", "a"]
    for _ in range(3):
        queue.put("b", "b")
    # b was absent while a took two turns. It begins at the turn of a, not two turns earlier.
    assert [take(queue, 10) for _ in range(6)] == ["b", "a", "b", "a", "b", "a"]


def test_turn_queue_appends_the_rest_of_a_divided_item() -> None:
    queue = TurnQueue[str]()
    queue.put("a", "first")
    queue.put("a", "second")
    queue.advance(1, "rest of first")
    assert [take(queue, 1) for _ in range(2)] == ["second", "rest of first"]


def test_turn_queue_charges_a_cost_that_is_known_later() -> None:
    queue = TurnQueue[str]()
    for item in "abab":
        queue.put(item, item)
    assert take(queue, 0) == "a"
    queue.charge("a", 5)
    queue.charge("c", 5)  # has no items
    assert [take(queue, 1) for _ in range(3)] == ["b", "b", "a"]


def test_turn_queue_continues_with_a_rest_at_the_turn_after_its_cost() -> None:
    queue = TurnQueue[str]()
    queue.put("a", "first of a")
    for _ in range(3):
        queue.put("b", "b")
    assert take(queue, 0) == "first of a"
    # Without its turn, a would begin at the turn of b again and again, and b would wait for all.
    queue.put("a", "rest of a", queue.turn + 3)
    assert [take(queue, 2) for _ in range(4)] == ["b", "b", "rest of a", "b"]
