/** One run: the contenders' stands, opened when first needed and shared by the cases; the rows so far; what is going on, said. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isInstalled, type Kind, type Peer } from "../peers/peer.ts";
import { type Row, rowsOf, type Samples } from "../report/result.ts";
import type { Clock } from "./clock.ts";
import { type Hellos, writeHellos } from "./hellos.ts";
import { Stand } from "./stand.ts";

/** Why there is no figure where the clock ran out. */
export const noTime = "no time was left for it in this run";
/** Why there is none of a contender in a quick run. */
export const notQuick = "it is left out of quick runs, for the time that it takes";
const atOnce = 2;
/** The share of a run's time after which no further contender is started. */
export const mostForOpening = 0.4;

/**
 * Seconds for which every contender works before anything of it is measured: a compiler that optimises what runs often (V8 for
 * Sallyport, the Node proxy and mitmproxy's peers alike) has then done so, and caches and tables have their size.
 */
export const warmUp = { quick: 1, whole: 5 } as const;

/** One kind of measurement. */
export interface Case {
  /** The first word of its rows' cases, and what `--only` takes. */
  name: string;
  title: string;
  /** Seconds that it would like, in a quick run and in a whole one. */
  wants: { quick: number; whole: number };
  /** How many parts it has, each of which takes a {@link Clock.part}. */
  parts: (quick: boolean) => number;
  /** True where it measures the contenders of connections at their stands. */
  atStands: boolean;
  run(bench: Bench): Promise<void>;
}

/** How much is measured, and beside whom. */
export interface Choice {
  quick: boolean;
  /** Names of contenders beside forwarding and Sallyport; null: all. */
  only: readonly string[] | null;
}

/** A contender and where it stands. */
export interface Contender {
  peer: Peer;
  stand: Stand;
}

export class Bench {
  readonly quick: boolean;
  readonly hellos: Hellos;
  readonly folder: string;
  readonly clock: Clock;
  readonly rows: Row[] = [];
  readonly #owned = new Set<{ close(): Promise<void> }>();
  /** By name; null while it is being opened. */
  readonly #stands = new Map<string, Stand | string | null>();
  readonly #only: readonly string[] | null;
  readonly #say: (text: string) => void;

  private constructor(
    { quick, only }: Choice,
    clock: Clock,
    folder: string,
    hellos: Hellos,
    say: (text: string) => void,
  ) {
    this.quick = quick;
    this.clock = clock;
    this.#only = only;
    this.folder = folder;
    this.hellos = hellos;
    this.#say = say;
  }

  static async create(choice: Choice, clock: Clock, say: (text: string) => void): Promise<Bench> {
    const folder = mkdtempSync(join(tmpdir(), "sallyport-bench-"));
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    return new Bench(choice, clock, folder, await writeHellos(folder), say);
  }

  /** Those of these contenders that were asked for. */
  chosen<P extends { name: string }>(all: readonly P[]): P[] {
    const always = ["forwarding", "sallyport", "gateway", "run"];
    return all.filter(({ name }) => this.#only === null || always.includes(name) || this.#only.includes(name));
  }

  /** Has something closed with the run, however that ends. */
  own<C extends { close(): Promise<void> }>(what: C): C {
    this.#owned.add(what);
    return what;
  }

  /** Says what is being done now. */
  progress(text: string): void {
    this.#say(text);
  }

  /** Every row of one figure. */
  record(name: string, unit: string, samples: Samples): void {
    this.rows.push(...rowsOf(name, unit, samples));
  }

  /** The same of several figures of these contenders, some of which cannot: `prefix` and the figure are the case's name. */
  recordAll<F extends string>(
    prefix: string,
    units: Readonly<Record<F, string>>,
    contenders: readonly { name: string }[],
    cannot: ReadonlyMap<string, string>,
    figures: Partial<Record<F, ReadonlyMap<string, readonly number[] | string>>>,
  ): void {
    for (const [figure, unit] of Object.entries(units) as [F, string][]) {
      const samples: Samples = new Map();
      for (const { name } of this.chosen(contenders))
        samples.set(name, cannot.get(name) ?? figures[figure]?.get(name) ?? noTime);
      this.record(`${prefix}.${figure}`, unit, samples);
    }
  }

  /** Opens every contender's stand, some at a time: on two processors most of it is waiting. */
  async open(peers: readonly Peer[]): Promise<void> {
    const waiting = this.chosen(peers).filter(({ slow }) => !(this.quick && slow));
    const openNext = async (): Promise<void> => {
      for (let peer = waiting.shift(); peer !== undefined; peer = waiting.shift()) {
        if (this.clock.spent() > mostForOpening) this.#stands.set(peer.name, noTime);
        else await this.#open(peer);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, openNext));
  }

  /**
   * Those of the contenders that can do this, each at its stand; the others say why not in `cannot`. A contender that does not
   * start says so and does not end the run.
   */
  async contenders(peers: readonly Peer[], kind: Kind): Promise<{ able: Contender[]; cannot: Map<string, string> }> {
    const able: Contender[] = [];
    const cannot = new Map<string, string>();
    for (const peer of this.chosen(peers)) {
      const why = peer.cannot(kind) ?? (this.quick && peer.slow ? notQuick : await this.#open(peer));
      if (typeof why === "string") cannot.set(peer.name, why);
      else able.push({ peer, stand: why });
    }
    return { able, cannot };
  }

  async #open(peer: Peer): Promise<Stand | string> {
    const known = this.#stands.get(peer.name);
    // What is still starting when the measuring begins is not waited for.
    if (known !== undefined) return known ?? noTime;
    this.#stands.set(peer.name, null);
    const opened = await this.#start(peer);
    this.#stands.set(peer.name, opened);
    return opened;
  }

  async #start(peer: Peer): Promise<Stand | string> {
    if (!isInstalled(peer)) return `not installed (apt-get install ${peer.needs!.packages.join(" ")})`;
    this.progress(`starting ${peer.name}`);
    const { classical, postQuantum, bulk, denied } = this.hellos;
    const stand = this.own(await Stand.open([classical, postQuantum], peer.forwards, bulk));
    try {
      await peer.start(stand, [classical.port, postQuantum.port, bulk.port]);
      const tried = await stand.load({ concurrency: 1, seconds: 0.05, warmSeconds: 0 }, classical);
      if (tried.done === 0 || tried.wrong > 0) throw new Error("connections through it are not answered");
      if (peer.cannot("deny") === null) {
        const refused = await stand.load({ concurrency: 1, seconds: 0.05, warmSeconds: 0, expect: "refused" }, denied);
        if (refused.done === 0 || refused.wrong > 0)
          throw new Error("it does not refuse a name that is not on its list");
      }
      await this.#warm(peer, stand);
      return stand;
    } catch (error) {
      await stand.close();
      return `it did not start: ${(error as Error).message}`;
    }
  }

  /** What it is measured with later, as it comes: how it does here is nobody's figure. */
  async #warm(peer: Peer, stand: Stand): Promise<void> {
    const seconds = this.quick ? warmUp.quick : warmUp.whole;
    const { classical, postQuantum, denied } = this.hellos;
    await stand.load({ concurrency: 32, seconds: seconds / 2, warmSeconds: 0 }, classical);
    await stand.load({ concurrency: 32, seconds: seconds / 4, warmSeconds: 0 }, postQuantum);
    if (peer.cannot("deny") === null)
      await stand.load({ concurrency: 32, seconds: seconds / 4, warmSeconds: 0, expect: "refused" }, denied);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#owned].map((each) => each.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
