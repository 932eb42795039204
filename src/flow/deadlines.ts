/**
 * A timer wheel: which items are overdue, at a cost that does not grow with those that are not. An item whose deadline moves
 * back stays where it is and is looked at once too often; nearly all items leave before that.
 */

export interface Timed {
  /** Steady time, ms. */
  deadline: number;
  /** The wheel's slot it stands in; null outside. Only the wheel writes it. */
  slot: number | null;
}

const slotMs = 250;

export class Deadlines<T extends Timed> {
  readonly #slots = new Map<number, Set<T>>();
  /** No slot before this one holds anything. */
  #first = Number.NEGATIVE_INFINITY;

  set(item: T, deadline: number): void {
    item.deadline = deadline;
    const slot = Math.max(Math.floor(deadline / slotMs), this.#first);
    if (item.slot !== null) {
      if (item.slot <= slot) return;
      this.clear(item);
    }
    item.slot = slot;
    const items = this.#slots.get(slot);
    if (items === undefined) this.#slots.set(slot, new Set([item]));
    else items.add(item);
  }

  clear(item: T): void {
    if (item.slot === null) return;
    const items = this.#slots.get(item.slot)!;
    items.delete(item);
    if (items.size === 0) this.#slots.delete(item.slot);
    item.slot = null;
  }

  /** Takes what is due at `now` off the wheel. `now` never goes back. */
  due(now: number): T[] {
    const last = Math.floor(now / slotMs);
    const due: T[] = [];
    if (last - this.#first > this.#slots.size) {
      for (const slot of [...this.#slots.keys()]) if (slot <= last) this.#take(slot, now, due);
    } else for (let slot = this.#first; slot <= last; slot++) this.#take(slot, now, due);
    this.#first = last;
    return due;
  }

  #take(slot: number, now: number, due: T[]): void {
    const items = this.#slots.get(slot);
    if (items === undefined) return;
    for (const item of [...items]) {
      const moved = Math.floor(item.deadline / slotMs) > slot;
      if (item.deadline > now && !moved) continue;
      this.clear(item);
      if (item.deadline > now) this.set(item, item.deadline);
      else due.push(item);
    }
  }
}
