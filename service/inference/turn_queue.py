"""A queue in which clients take turns: no client waits for all items of another."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(order=True, slots=True)
class _ClientItems(Generic[T]):
    """The items of one client, of which there is at least one.

    Attributes:
        turn: The client with the lowest turn is next; its items advance its turn by their costs.
        client: The client.
        items: The items.
    """

    turn: int
    client: str = field(compare=False)
    items: deque[T] = field(default_factory=deque, compare=False)


class TurnQueue(Generic[T]):
    """A queue that takes items of equal cost from each client that has items.

    The items of one client are first in, first out. It is start-time fair queueing: a client that
    was not in the queue begins at the turn of the client that is next (Goyal, Vin and Cheng 1997,
    doi:10.1109/90.649569). It is not thread-safe.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._clients: dict[str, _ClientItems[T]] = {}
        # The same clients by their turns.
        self._heap: list[_ClientItems[T]] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    @property
    def turn(self) -> int:
        """The turn of the client whose item was removed last."""
        return self._turn

    def put(self, client: str, item: T, turn: int = 0) -> None:
        """Append an item of a client.

        Args:
            client: The client.
            item: The item.
            turn: The lowest turn at which the client may begin, if it has no other items: that of
                an item of which this one is the rest, plus its cost.
        """
        mine = self._clients.get(client)
        if mine is None:
            mine = self._clients[client] = _ClientItems(max(self._turn, turn), client)
            heapq.heappush(self._heap, mine)
        mine.items.append(item)

    def first(self) -> T:
        """Return the next item; there must be one."""
        return self._heap[0].items[0]

    def advance(self, cost: int, rest: T | None = None) -> None:
        """Remove the next item, and append a rest of it as the last item of its client.

        Args:
            cost: By how much the turn of the client advances.
            rest: The rest of a divided item.
        """
        mine = self._heap[0]
        mine.items.popleft()
        self._turn = mine.turn
        mine.turn += cost
        if rest is not None:
            mine.items.append(rest)
        if mine.items:
            heapq.heapreplace(self._heap, mine)
        else:
            heapq.heappop(self._heap)
            del self._clients[mine.client]

    def charge(self, client: str, cost: int) -> None:
        """Advance the turn of a client that has items, by a cost that is known only now."""
        mine = self._clients.get(client)
        if mine is not None:
            mine.turn += cost
            heapq.heapify(self._heap)
