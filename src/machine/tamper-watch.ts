/**
 * Looks every few seconds whether all is still as it was set up: each check tells what is not, in words. What is found is told
 * once, and again when it is found in another form; what was not vouched for is counted, because a receipt must not claim more
 * than was looked at.
 */

/** One thing to look at. `look` returns what is not as it should be, in words; what it throws is that it could not look. */
export interface TamperCheck {
  name: string;
  look: () => string[];
}

export interface TamperFinding {
  check: string;
  message: string;
}

export class TamperWatch {
  readonly #checks: readonly TamperCheck[];
  readonly #found: (finding: TamperFinding) => void;
  readonly #told = new Map<string, ReadonlySet<string>>();
  #made = 0;
  #passed = 0;
  #last = 0;

  constructor(checks: readonly TamperCheck[], found: (finding: TamperFinding) => void) {
    this.#checks = checks;
    this.#found = found;
  }

  /** Rounds made so far, those in which all was well, and when the last one was, ms since the epoch. */
  get rounds(): { made: number; passed: number; last: number } {
    return { made: this.#made, passed: this.#passed, last: this.#last };
  }

  /** What is not as it should be now, in words. */
  round(now: number): string[] {
    const all: string[] = [];
    for (const { name, look } of this.#checks) {
      let found: string[];
      try {
        found = look();
      } catch (error) {
        found = [`${name} cannot be looked at: ${(error as Error).message}`];
      }
      const told = this.#told.get(name);
      for (const message of found) if (told?.has(message) !== true) this.#found({ check: name, message });
      this.#told.set(name, new Set(found));
      all.push(...found);
    }
    this.#made++;
    if (all.length === 0) this.#passed++;
    this.#last = now;
    return all;
  }
}
