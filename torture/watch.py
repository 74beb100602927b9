"""What the processes' own metrics say while a run goes on."""

import threading
import time

from oracle import Scrape
from support import metric

EVERY_S = 0.7


class Watch(threading.Thread):
    """Scrapes the processors for the judgement, and counts the tries again of worker and archiver over all their lives."""

    def __init__(self, world):
        super().__init__(daemon=True, name="watch")
        self.world, self.scrapes, self.retries = world, [], 0
        self._last_retries = {}
        self._over = threading.Event()

    def stop(self):
        self._over.set()
        self.join()
        self.look()

    def run(self):
        while not self._over.wait(EVERY_S):
            self.look()

    def look(self):
        for number, front in enumerate(self.world.fronts):
            life, began = self.world.life(number), time.time()
            text = front.scrape()
            ended = time.time()
            if text and life == self.world.life(number):
                counted = [metric(text, "ca4_events_total", result=r) or 0 for r in ("accepted", "refused", "failed")]
                self.scrapes.append(Scrape(life, began, ended, *counted))
        for worker in self.world.workers:
            text = worker.scrape()
            retries = text and metric(text, "ca4_retries_total")
            if retries is not None:
                # Fewer than before: another life, which began at 0.
                last = self._last_retries.get(worker.name, 0)
                self.retries += retries - last if retries >= last else retries
                self._last_retries[worker.name] = retries
