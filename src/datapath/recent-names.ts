/**
 * Names that a thread told of a moment ago. Whoever counts distinct names in an hour (`detect/names.ts`) learns nothing from hearing
 * of the same one again at once, and a busy farm shows the same names all day.
 */
import type { ShownName } from "./messages.ts";

/** How long a name is not told again, ms: nothing, against the hour that it counts for. */
const repeatMs = 10_000;
/** Most names remembered; beyond it all are forgotten, and told again. */
const mostNames = 8_192;

export class RecentNames {
  readonly #told = new Map<string, number>();

  /** Whether to tell of it. `now` in milliseconds. */
  isNew({ source, name, channel, outcome, process }: ShownName, now: number): boolean {
    // One that a budget refused is told each time: how many followed is what the alert says.
    if (outcome === "over_budget") return true;
    const key = `${source}${channel} ${outcome} ${process?.pid ?? ""} ${name}`;
    const told = this.#told.get(key);
    if (told !== undefined && now - told < repeatMs) return false;
    if (this.#told.size >= mostNames) this.#told.clear();
    this.#told.set(key, now);
    return true;
  }
}
