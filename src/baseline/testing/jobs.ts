/**
 * Made-up jobs of which everything is known: what a run contacts is drawn from a seed, and the true chance that the next run
 * contacts something unseen is worked out exactly. Estimates are held against them, in tests and in docs/baseline.md.
 */

/** A random number in [0, 1). */
export type Random = () => number;

/** A job of known truth. */
export interface Job {
  name: string;
  what: string;
  /** What one run contacts. */
  draw: (random: Random) => Set<string>;
  /** The chance that a run contacts something that is not in `seen`. */
  chance: (seen: ReadonlySet<string>) => number;
  /** All destinations there are. */
  size: number;
}

/** Mulberry32: small, and the same numbers everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const always = Array.from({ length: 10 }, (_, i) => `always${i}.example`);

/** Always the same, and each of some others now and then, independently. */
function independent(name: string, what: string, chances: readonly number[]): Job {
  const rare = chances.map((chance, i) => ({ host: `rare${i}.example`, chance }));
  return {
    name,
    what,
    size: always.length + rare.length,
    draw: (random) => {
      const run = new Set(always);
      for (const { host, chance } of rare) if (random() < chance) run.add(host);
      return run;
    },
    chance: (seen) => {
      if (always.some((host) => !seen.has(host))) return 1;
      return 1 - rare.reduce((none, { host, chance }) => (seen.has(host) ? none : none * (1 - chance)), 1);
    },
  };
}

/** Always the same, and one of several branches at most, each with hosts of its own that come together. */
function branching(name: string, what: string, chances: readonly number[], hosts: number): Job {
  const branches = chances.map((chance, i) => ({
    chance,
    hosts: Array.from({ length: hosts }, (_, k) => `branch${i}-${k}.example`),
  }));
  return {
    name,
    what,
    size: always.length + branches.length * hosts,
    draw: (random) => {
      let at = random();
      const taken = branches.find(({ chance }) => (at -= chance) < 0);
      return new Set([...always, ...(taken?.hosts ?? [])]);
    },
    chance: (seen) => {
      if (always.some((host) => !seen.has(host))) return 1;
      return branches.reduce((sum, each) => (each.hosts.every((host) => seen.has(host)) ? sum : sum + each.chance), 0);
    },
  };
}

export const jobs: readonly Job[] = [
  independent("steady", "10 destinations, always the same", []),
  independent("one rare", "and one more in 2 % of the runs", [0.02]),
  independent(
    "some rare",
    "and 20 more, each in 1 % of the runs",
    Array.from({ length: 20 }, () => 0.01),
  ),
  independent(
    "long tail",
    "and 200 more, the i-th in 0.5/i of the runs",
    Array.from({ length: 200 }, (_, i) => 0.5 / (i + 1)),
  ),
  branching("release", "3 % of the runs are releases: 5 more, together", [0.03], 5),
  branching(
    "branches",
    "one of 12 branches of 3 hosts each, the i-th in 2^−i of the runs",
    Array.from({ length: 12 }, (_, i) => 0.5 ** (i + 1)),
    3,
  ),
];

/** `count` runs of a job. */
export function drawRuns({ draw }: Job, count: number, random: Random): Set<string>[] {
  return Array.from({ length: count }, () => draw(random));
}

/** Everything that some run contacted. */
export function union(runs: readonly ReadonlySet<string>[]): Set<string> {
  const all = new Set<string>();
  for (const run of runs) for (const each of run) all.add(each);
  return all;
}
