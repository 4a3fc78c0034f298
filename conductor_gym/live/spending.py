"""A hard ceiling on money: every call reserves its worst price before it is sent."""

import asyncio

from conductor_gym.errors import SpendingCeilingError
from conductor_gym.types import NANO_USD


class Spending:
    """Money spent and reserved, in nano-USD; for one event loop.

    Attributes:
        ceiling: Most that may be spent, None: no ceiling.
        spent: Spent so far, earlier runs of the same journal included.
        reserved: Worst prices of the calls that are under way.
    """

    def __init__(self, ceiling: int | None, spent: int = 0) -> None:
        self.ceiling = ceiling
        self.spent = spent
        self.reserved = 0
        self._settled = asyncio.Event()

    def try_reserve(self, worst_cost: int) -> bool:
        """Reserve at once, or say that it does not fit beside what is spent and reserved."""
        if self.ceiling is not None and self.spent + self.reserved + worst_cost > self.ceiling:
            return False
        self.reserved += worst_cost
        return True

    async def reserve(self, worst_cost: int) -> None:
        """Reserve the worst price of a call.

        Most calls cost far less than their worst price. So a call that does not fit beside the
        reservations of others waits until they are settled.

        Args:
            worst_cost: nano-USD.

        Raises:
            SpendingCeilingError: It does not fit beside what is spent.
        """
        while not self.try_reserve(worst_cost):
            if self.ceiling is not None and self.spent + worst_cost > self.ceiling:
                raise SpendingCeilingError(self._explain(worst_cost, self.ceiling))
            self._settled.clear()
            await self._settled.wait()

    def settle(self, reserved: int, cost: int) -> None:
        """Give a reservation back and book what the call cost.

        Args:
            reserved: nano-USD that were reserved for it.
            cost: nano-USD billed.
        """
        self.reserved -= reserved
        self.spent += cost
        self._settled.set()

    def _explain(self, worst_cost: int, ceiling: int) -> str:
        return (
            f"the spending ceiling is reached: {_usd(self.spent)} are spent and "
            f"{_usd(self.reserved)} reserved for calls under way, the next call may cost "
            f"{_usd(worst_cost)}, the ceiling is {_usd(ceiling)}. Raise it and run the same "
            "command again: nothing is paid twice."
        )


def _usd(nano: int) -> str:
    return f"{nano / NANO_USD:.9f}".rstrip("0").rstrip(".") + " USD"
