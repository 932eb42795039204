/**
 * Cryptomining on the machine (threat R6): names of known pools, and a process that computes for minutes on end while one quiet
 * connection stays open. What a miner says to its pool in the clear is told by `wire/stratum.ts`. Pure.
 */
import { registrableDomain } from "../address/suffix.ts";

/**
 * Pools, by registrable domain. A few dozen of hundreds: those that public miner configurations and reports of abuse name again and
 * again. Chosen so that no build has an honest reason to ask for one; exchanges, wallets and block explorers are not here. A pool
 * that is missing is found by what is said to it, or by the work it costs.
 */
const pools: ReadonlySet<string> = new Set([
  // Monero and other coins that are worth mining on a CPU: what is found on stolen machines.
  "nanopool.org",
  "supportxmr.com",
  "moneroocean.stream",
  "hashvault.pro",
  "herominers.com",
  "c3pool.com",
  "c3pool.org",
  "minexmr.com",
  "xmrpool.eu",
  "monerohash.com",
  "minergate.com",
  "crypto-pool.fr",
  "dwarfpool.com",
  "luckpool.net",
  "rplant.xyz",
  "kryptex.network",
  // Pays in another coin than is mined, without an account: the usual end of a chain of abuse.
  "unmineable.com",
  "nicehash.com",
  "zpool.ca",
  "prohashing.com",
  // Mostly for other hardware, but reached by the same programs.
  "2miners.com",
  "ethermine.org",
  "flypool.org",
  "woolypooly.com",
  "f2pool.com",
  "antpool.com",
  "viabtc.com",
  "poolin.com",
  "slushpool.com",
  "miningpoolhub.com",
]);

/** Each of them is registered directly below a top-level domain, so the last two labels of a name say when it is none. */
export function mayBePool(name: string): boolean {
  return pools.has(name.slice(name.lastIndexOf(".", name.lastIndexOf(".") - 1) + 1));
}

/** The pool that a name (canonical) belongs to; null where none is known. */
export function poolOf(name: string): string | null {
  if (!mayBePool(name)) return null;
  const domain = registrableDomain(name);
  return domain !== null && pools.has(domain) ? domain : null;
}

export interface CpuThresholds {
  /** Milliseconds on end. */
  period: number;
  /** Processors' worth of time. */
  cores: number;
  /** Of one connection, both ways together, bytes in a second at most; and how old it is, milliseconds. */
  rate: number;
  age: number;
}

/** A compiler computes as much, but without a connection; a download has one, but not a quiet one. */
export const cpuThresholds: CpuThresholds = { period: 180_000, cores: 0.9, rate: 2_000, age: 120_000 };

/** A process at one moment. */
export interface CpuSample {
  pid: number;
  /** Tells it from a later one with its number. */
  startedAt: number;
  /** Processor time since its start, all threads, milliseconds. */
  cpu: number;
}

/** A live connection of a process, as the kernel counts it. */
export interface QuietConnection {
  pid: number;
  age: number;
  bytes: number;
}

export interface Computing<C extends QuietConnection> {
  pid: number;
  startedAt: number;
  /** How long it has computed, milliseconds, and on how many processors. */
  milliseconds: number;
  cores: number;
  connection: C;
}

export class CpuWatch {
  readonly #thresholds: CpuThresholds;
  /** Of each process the beginning of the stretch in which it has computed, and its last sample. */
  readonly #stretches = new Map<string, { began: number; cpuThen: number; at: number; cpu: number; told: boolean }>();

  constructor(thresholds: CpuThresholds = cpuThresholds) {
    this.#thresholds = thresholds;
  }

  /**
   * Takes a sample of each process at `now`, milliseconds, steady; who was not sampled is gone. Returns those that have computed for
   * the whole period and have a quiet connection, each once in a stretch.
   */
  see<C extends QuietConnection>(
    samples: readonly CpuSample[],
    connections: readonly C[],
    now: number,
  ): Computing<C>[] {
    const { period, cores, rate, age } = this.#thresholds;
    const found: Computing<C>[] = [];
    const seen = new Set<string>();
    for (const { pid, startedAt, cpu } of samples) {
      const key = `${pid} ${startedAt}`;
      seen.add(key);
      const known = this.#stretches.get(key);
      const worked = known !== undefined && now > known.at && (cpu - known.cpu) / (now - known.at) >= cores;
      const stretch = worked ? { ...known, at: now, cpu } : { began: now, cpuThen: cpu, at: now, cpu, told: false };
      this.#stretches.set(key, stretch);
      const milliseconds = now - stretch.began;
      if (!worked || stretch.told || milliseconds < period) continue;
      const connection = connections.find(
        (each) => each.pid === pid && each.age >= age && each.bytes / (each.age / 1_000) <= rate,
      );
      if (connection === undefined) continue;
      stretch.told = true;
      found.push({ pid, startedAt, milliseconds, cores: (cpu - stretch.cpuThen) / milliseconds, connection });
    }
    for (const key of this.#stretches.keys()) if (!seen.has(key)) this.#stretches.delete(key);
    return found;
  }
}
