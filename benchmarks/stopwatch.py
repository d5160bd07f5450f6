"""Where the time of a measured process goes: functions are wrapped, and each second counts for the innermost one."""

import time
from collections import defaultdict
from typing import Any


class Stopwatch:
    """Sums of seconds.

    Attributes:
        parts_s: by the name of the part.
    """

    def __init__(self) -> None:
        self.parts_s: defaultdict[str, float] = defaultdict(float)
        self._inner_s: list[float] = []

    def watch(self, owner: Any, name: str, part: str, part_of_first: str | None = None) -> None:
        """Wraps a function of a module or class.

        Args:
            owner: that the function is looked up in when it is called.
            name: of the function.
            part: that its seconds join.
            part_of_first: that those of its first call join; the same if None.
        """
        original, num_calls = getattr(owner, name), 0

        def timed(*arguments: Any, **more: Any) -> Any:
            nonlocal num_calls
            num_calls += 1
            started_at_s = time.perf_counter()
            self._inner_s.append(0.0)
            try:
                return original(*arguments, **more)
            finally:
                took_s = time.perf_counter() - started_at_s
                own = part_of_first if part_of_first is not None and num_calls == 1 else part
                self.parts_s[own] += took_s - self._inner_s.pop()
                if self._inner_s:
                    self._inner_s[-1] += took_s

        setattr(owner, name, timed)
