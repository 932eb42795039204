/**
 * Puts the ruleset of `rules.ts` into the kernel and takes it out again, with iptables-restore and ip6tables-restore (the
 * nf_tables back end). Acts on the network namespace of the calling thread. Called by the enforcer.
 *
 * Promises: each table changes in one transaction, so applying again while traffic flows neither opens nor closes
 * anything; a first application that fails is taken back; removal leaves the tables as if we had never been there;
 * rules and chains of others are never changed. Does not guard its rules against other root processes: `state` says
 * whether they are still there, unaltered and first.
 */
import { existsSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { attempt, attemptAside, run, runAside } from "./commands.ts";
import { chainPrefix, type Table, type TableRules } from "./rule-parts.ts";
import { rulesGeneration } from "./rules-generation.ts";
import { checkOptions, rulesFor, type RulesetOptions } from "./rules.ts";
import { deleteEmptyTables, type EmptyTable } from "./tables.ts";

export type { RulesetOptions } from "./rules.ts";

/** Rules that are ours by their chains' common prefix: which, per family. */
export interface OwnedRules {
  /** What every chain's name begins with, and nobody else's. */
  prefix: string;
  /**
   * An empty chain of this name in a table says that we made the table, so that removal may take it away. Owners that come
   * and go in any order (runs on one host) share one; each but the last leaves it when it goes.
   */
  marker: string;
  rules: (family: 4 | 6) => TableRules[];
}

/** Whose rules. */
export type Owner = Pick<OwnedRules, "prefix" | "marker">;

/** The order in which tables are committed: `filter` first, so that what comes from the inside is dropped until done. */
const tables: readonly Table[] = ["filter", "nat", "mangle"];

export const enforcerOwner: Owner = { prefix: chainPrefix, marker: `${chainPrefix}MADE` };
const ATTEMPTS = 3;

/** `present`: exactly as applied and at the head. `altered`: something of ours is missing, changed or not first. */
export type RulesetState = "absent" | "present" | "altered";

/** What iptables-save says about one table. */
interface SavedTable {
  /** Our chains' names. */
  chains: string[];
  /** Rules of built-in chains that jump to our chains, as `-A …`. */
  jumps: string[];
  /** Everything of ours, and of each built-in chain the leading rules that are ours. */
  lines: string[];
  /** Whether the table holds anything of others: a rule, a chain, or a built-in chain's policy that is not ACCEPT. */
  inUse: boolean;
}

type Saved = Map<Table, SavedTable>;

/** By family. */
export type Reading = ReadonlyMap<4 | 6, Saved>;

/** The ruleset for one place. Cheap to make; holds no kernel resource. */
export class Ruleset {
  readonly #owned: OwnedRules;
  #applied: string | null = null;
  #looking: Promise<RulesetState> | null = null;
  /** What the tools said last, and of which generation that was. */
  #seen: { generation: number | null; reading: Reading } | null = null;

  /** The enforcer's ruleset, or other rules owned by their prefix. Throws SallyportError USAGE. */
  constructor(options: RulesetOptions | OwnedRules) {
    if ("rules" in options) this.#owned = options;
    else {
      checkOptions(options);
      this.#owned = { ...enforcerOwner, rules: (family) => rulesFor(family, options) };
    }
  }

  /** What {@link apply} found in the kernel afterwards; for {@link state} in a later process. Null before. */
  get fingerprint(): string | null {
    return this.#applied;
  }

  /**
   * Makes the kernel's rules ours, whatever of ours is there already; `found` is a reading made a moment ago. Throws SallyportError
   * RULESET, MISSING_TOOL.
   */
  apply(found: Reading = this.read()): void {
    const wasAbsent = textOf(found) === "";
    try {
      for (const [family, saved] of found) restore(family, this.#owned, rendering(family, this.#owned), saved);
      this.#applied = fingerprint(this.#owned);
    } catch (error) {
      // Half a ruleset would cut off the inside for good with nobody to serve it.
      if (wasAbsent) removeRuleset(this.#owned);
      throw error;
    }
  }

  /** The same while the event loop goes on, both families at once. */
  async applyAside(found: Reading): Promise<void> {
    const wasAbsent = textOf(found) === "";
    try {
      const applying = [...found].map(async ([family, saved]) => {
        const render = rendering(family, this.#owned);
        const refused = await feedAside(family, render(saved));
        // Somebody may have changed them meanwhile: from the start, as ever.
        if (refused !== null) restore(family, this.#owned, render);
      });
      for (const each of await Promise.allSettled(applying)) if (each.status === "rejected") throw each.reason;
      this.#applied = textOf(await this.readAside());
    } catch (error) {
      if (wasAbsent) removeRuleset(this.#owned);
      throw error;
    }
  }

  /** Everything in the kernel now that concerns us. */
  read(): Reading {
    return readAll(this.#owned);
  }

  /** See {@link RulesetState}. Without an earlier {@link apply} in this process, give its `fingerprint`. */
  state(expected: string | null = this.#applied): RulesetState {
    return compared(fingerprint(this.#owned), expected);
  }

  /** The same while the event loop goes on: reading the rules takes long on a busy host. Those who ask at once share a look. */
  look(): Promise<RulesetState> {
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #look(): Promise<RulesetState> {
    return compared(textOf(await this.readAside()), this.#applied);
  }

  /** As {@link read}, while the event loop goes on; without a tool where no rule has changed since the last time. */
  async readAside(): Promise<Reading> {
    // Before it is read: what changes meanwhile makes the next look read again.
    const generation = rulesGeneration();
    if (generation === null || this.#seen?.generation !== generation) {
      this.#seen = { generation, reading: await this.#readAside() };
    }
    return this.#seen.reading;
  }

  async #readAside(): Promise<Reading> {
    const reading = families().map(async (family) => {
      const text = await runAside(tool(family, "save"), []);
      return [family, parseSaved(text, this.#owned)] as const;
    });
    return new Map(await Promise.all(reading));
  }

  /** Takes out everything of ours. Does nothing where there is nothing. Throws SallyportError RULESET. */
  remove(keepMarker = false): void {
    removeRuleset(this.#owned, keepMarker);
    this.#applied = null;
  }

  /** Whether the ruleset is in the kernel as applied. */
  present(): boolean {
    return this.state() === "present";
  }
}

/** The families this kernel speaks: a kernel without IPv6 has no packets to judge and no ip6tables. */
function families(): (4 | 6)[] {
  return existsSync("/proc/sys/net/ipv6") ? [4, 6] : [4];
}

const restoreOptions = ["--noflush", "--wait", "5"];

const tool = (family: 4 | 6, action: "save" | "restore") => `${family === 4 ? "iptables" : "ip6tables"}-${action}`;

/** Takes out every rule and chain of ours, from whatever process, and the tables that we made and nobody else uses. */
export function removeRuleset(owned: Owner, keepMarker = false): void {
  const { marker } = owned;
  const unused: EmptyTable[] = [];
  for (const family of families()) {
    const ours = new Map<Table, EmptyTable>();
    restore(family, owned, (saved) => {
      const text: string[] = [];
      ours.clear();
      // The filter table goes last: until then what comes from the inside is dropped for want of a mark.
      for (const table of tables.toReversed()) {
        const found = saved.get(table);
        if (found === undefined || found.chains.length === 0) continue;
        text.push(`*${table}`, ...found.jumps.map((rule) => rule.replace(/^-A/, "-D")));
        text.push(...found.chains.map((chain) => `-F ${chain}`));
        const leaving = found.chains.filter((chain) => !keepMarker || chain !== marker);
        text.push(...leaving.map((chain) => `-X ${chain}`), "COMMIT");
        if (leaving.includes(marker) && !found.inUse) ours.set(table, { family, table });
      }
      return text;
    });
    unused.push(...ours.values());
  }
  deleteEmptyTables(unused);
}

/** What makes of a reading the lines that bring the rules to what they should be. */
function rendering(family: 4 | 6, owned: OwnedRules): (saved: Saved) => string[] {
  const rules = owned.rules(family);
  const { marker } = owned;
  return (saved) => {
    const text: string[] = [];
    for (const { table, chains, jumps } of rules) {
      const found = saved.get(table);
      const stale = (found?.chains ?? []).filter((chain) => chain !== marker && !chains.has(chain));
      text.push(`*${table}`);
      if (found === undefined || found.chains.includes(marker)) text.push(`:${marker} - [0:0]`);
      // Naming a chain makes it, or empties it in the same transaction.
      for (const chain of [...chains.keys(), ...stale]) text.push(`:${chain} - [0:0]`);
      for (const rule of found?.jumps ?? []) text.push(rule.replace(/^-A/, "-D"));
      for (const [chain, list] of chains) text.push(...list.map((rule) => `-A ${chain} ${rule}`));
      for (const [chain, list] of jumps) text.push(...list.map((rule, i) => `-I ${chain} ${i + 1} ${rule}`));
      text.push(...stale.map((chain) => `-X ${chain}`), "COMMIT");
    }
    return text;
  };
}

/**
 * Feeds the lines that `render` makes from what is there now. Another program may change rules between our reading and
 * our writing, so that a rule to delete is gone: then once more from the start.
 * `found` is such a reading, just made.
 */
function restore(family: 4 | 6, owned: Owner, render: (saved: Saved) => string[], found?: Saved): void {
  for (let i = 1; ; i++) {
    const lines = render(i === 1 && found !== undefined ? found : readSaved(family, owned));
    if (lines.length === 0) return;
    try {
      return feed(family, lines);
    } catch (error) {
      if (i === ATTEMPTS || !(error instanceof SallyportError) || error.code !== "RULESET") throw error;
    }
  }
}

/** Gives the lines to iptables-restore, keeping what is there. Throws SallyportError RULESET naming the refused line. */
export function feed(family: 4 | 6, lines: readonly string[]): void {
  const finished = attempt(tool(family, "restore"), restoreOptions, { input: `${lines.join("\n")}\n` });
  if (finished.status !== 0) throw refusal(family, lines, finished.stderr);
}

/** The same while the event loop goes on; what it refused, or null. */
async function feedAside(family: 4 | 6, lines: readonly string[]): Promise<SallyportError | null> {
  const finished = await attemptAside(tool(family, "restore"), restoreOptions, `${lines.join("\n")}\n`);
  return finished.status === 0 ? null : refusal(family, lines, finished.stderr);
}

function refusal(family: 4 | 6, lines: readonly string[], stderr: string): SallyportError {
  const number = Number(/line:? (\d+)/.exec(stderr)?.[1] ?? Number.NaN);
  const rule = lines[number - 1] ?? null;
  const what = rule === null ? "" : `: ${rule}`;
  const why = stderr.trim().replaceAll(/\s*\n\s*/g, "; ");
  const text = `${tool(family, "restore")} refused the ruleset${what} (${why}).`;
  return new SallyportError("RULESET", text, { family, rule, line: rule === null ? null : number, stderr });
}

function compared(found: string, expected: string | null): RulesetState {
  if (found === "") return "absent";
  return found === expected ? "present" : "altered";
}

function fingerprint(owned: Owner): string {
  return textOf(readAll(owned));
}

function readAll(owned: Owner): Reading {
  return new Map(families().map((family) => [family, readSaved(family, owned)]));
}

/** What of a reading is ours, comparable; empty where there is nothing. */
export function textOf(found: Reading): string {
  const lines: string[] = [];
  for (const [family, saved] of found) {
    for (const [table, each] of saved) if (each.lines.length > 0) lines.push(`*${table} ${family}`, ...each.lines);
  }
  return lines.join("\n");
}

function readSaved(family: 4 | 6, owned: Owner): Saved {
  return parseSaved(run(tool(family, "save"), []), owned);
}

/** Reads iptables-save's text, keeping what concerns us. */
export function parseSaved(text: string, { prefix, marker }: Owner = enforcerOwner): Saved {
  const saved: Saved = new Map();
  let current: SavedTable | null = null;
  /** Built-in chains in which a rule not ours was seen. */
  let passed = new Set<string>();
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) {
      const table = line.slice(1) as Table;
      current = tables.includes(table) ? { chains: [], jumps: [], lines: [], inUse: false } : null;
      passed = new Set();
      if (current !== null) saved.set(table, current);
    } else if (current === null) continue;
    else if (line.startsWith(":")) {
      const [chain, policy] = line.slice(1).split(" ") as [string, string];
      const isOurs = chain === marker || chain.startsWith(prefix);
      if (isOurs) current.chains.push(chain);
      if (chain.startsWith(prefix)) current.lines.push(`:${chain}`);
      if (!isOurs && policy !== "ACCEPT") current.inUse = true;
    } else if (line.startsWith("-A ")) {
      const chain = line.split(" ")[1]!;
      const ours = chain.startsWith(prefix);
      const jump = !ours && new RegExp(` -[jg] ${prefix}\\S+$`).test(line);
      if (jump) current.jumps.push(line);
      if (ours || (jump && !passed.has(chain))) current.lines.push(line);
      if (!ours && !jump) {
        passed.add(chain);
        current.inUse = true;
      }
    }
  }
  return saved;
}
