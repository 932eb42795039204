/**
 * Who asked for names under a domain: on a machine many processes have one address, and an alert about the domain should say whose it
 * is. The last few, told apart by step, program and container; bounded.
 */
import { registrableDomain } from "../address/suffix.ts";
import type { EventProcess } from "../audit/event.ts";

/** Of many processes that did the same, the last one. */
export interface Asker {
  pid: number;
  exe: string | null;
  step: string | null;
  container: string | null;
  runner: boolean;
}

const mostAskers = 5;
const mostDomains = 2_048;

export class AskersOfDomains {
  /** In order of last use. */
  readonly #domains = new Map<string, Map<string, Asker>>();

  see(name: string, process: EventProcess): void {
    const domain = registrableDomain(name) ?? name;
    const askers = this.#domains.get(domain) ?? new Map<string, Asker>();
    this.#domains.delete(domain);
    this.#domains.set(domain, askers);
    if (this.#domains.size > mostDomains) this.#domains.delete(this.#domains.keys().next().value!);
    const { pid, exe, step, runner } = process;
    const container = process.container?.id ?? null;
    const key = JSON.stringify([exe, step, container, runner]);
    askers.delete(key);
    askers.set(key, { pid, exe, step, container, runner });
    if (askers.size > mostAskers) askers.delete(askers.keys().next().value!);
  }

  /** The last one first. */
  of(domain: string): Asker[] {
    return [...(this.#domains.get(domain)?.values() ?? [])].toReversed();
  }
}
