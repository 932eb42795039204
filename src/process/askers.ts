/**
 * For which step an engine's daemon started a container. The daemon is no child of the runner's worker, and so is nothing that it
 * starts; but whoever asked it is still connected to its socket while the runtime runs. So the runtime's start is when it is looked who
 * that is, and what the runtime forks inherits the answer, as steps are inherited. It is inferred: a step can stay
 * connected while another one asks, or ask and go away. Where several are connected, nothing is chosen. Pure.
 */
import { isRuntime } from "./engines.ts";
import type { Asked, ProcessRecord, StepTag } from "./record.ts";

/** Steps of the engines' clients; null among them: a client of no step. Null: it is too late to say. */
export type Ask = () => readonly (StepTag | null)[] | null;

/** What a runtime is told to do when something is to be started, and what it executes itself as. */
const starting: ReadonlySet<string> = new Set(["create", "run", "restore", "exec", "init"]);
/** Containers remembered. */
const MOST = 4096;

export class Askers {
  /** For whom each container was started. */
  readonly #containers = new Map<string, Asked>();

  /** Who asked for `record`, which belongs to no step and has just executed something; `before` is the container it was in until then. */
  executed(record: ProcessRecord, before: string | null, ask: Ask): Asked | null {
    const { container, asked, placed, args } = record;
    if (container !== null) return container === before ? asked : this.#entered(container, asked);
    // What a container executes is not asked for by the daemon's clients, whatever it is called.
    if (!placed || !isRuntime(record) || !args.some((each) => starting.has(each))) return asked;
    // It was seen in time. What the runtime executes next is another chance where it was not.
    if (asked !== null && asked.by.length > 0) return asked;
    return { by: union(ask() ?? [], []), joins: asked?.joins ?? args.includes("exec") };
  }

  #entered(container: string, asked: Asked | null): Asked | null {
    const known = this.#containers.get(container);
    const now = this.#forWhom(asked, known);
    if (now === null) return null;
    // A process that is executed in a container changes nothing for the container.
    if (known !== undefined && now.joins) return now;
    this.#containers.delete(container);
    this.#containers.set(container, now);
    if (this.#containers.size > MOST) this.#containers.delete(this.#containers.keys().next().value!);
    return now;
  }

  /**
   * The daemon does things unasked: a health check, a container that ended and is to be restarted. Those are for whom the container is.
   * A restart while somebody else is connected may be either's.
   */
  #forWhom(asked: Asked | null, known: Asked | undefined): Asked | null {
    if (known === undefined) return asked;
    if (asked === null || asked.by.length === 0) return known;
    return asked.joins ? asked : { by: union(known.by, asked.by), joins: false };
  }
}

/** The one step it is for; null where that is not known. */
export function inferredStep(asked: Asked | null): StepTag | null {
  return asked?.by.length === 1 ? asked.by[0]! : null;
}

/** No two of one step: its phases are processes of their own, with one number. */
function union(some: readonly (StepTag | null)[], more: readonly (StepTag | null)[]): (StepTag | null)[] {
  const key = (tag: StepTag | null) => (tag === null ? "none" : tag.number === null ? `pid ${tag.pid}` : tag.number);
  return [...new Map([...some, ...more].map((tag) => [key(tag), tag])).values()];
}
