/**
 * The load of DNS: `dnsperf` in the runner, whose questions leave with sixteen sources' addresses, to the zones' own server behind
 * the gateway. Misses are of names with a TTL of 0 in many domains: however long it runs, each is a question upstream.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { hitZone, missZones, upstream } from "../peers/dns/servers.ts";
import { run, sources, type Stand } from "./stand.ts";

export const kinds = ["hit", "miss", "denied"] as const;
export type QuestionKind = (typeof kinds)[number];

export interface Answers {
  perSecond: number;
  /** Microseconds. */
  p50: number;
  p99: number;
  lost: number;
}

/** Starts the zones' server in the stand's internet, and spreads the runner's questions over the sources. */
export async function wireNames({ lab }: Stand): Promise<void> {
  const zone = (name: string, ttl: number) =>
    `    local-zone: "${name}." redirect\n    local-data: "${name}. ${ttl} A 203.0.113.100"`;
  const values: Record<string, string> = {
    CPUS: `${availableParallelism()}`,
    ADDRESS: upstream,
    FOLDER: lab.world.home,
    ZONES: [zone(hitZone, 3600), ...missZones.map((name) => zone(name, 0))].join("\n"),
  };
  const text = readFileSync(new URL("../load/zones.conf", import.meta.url), "utf8");
  const file = join(lab.world.home, "zones.conf");
  writeFileSync(
    file,
    text.replace(/@([A-Z]+)@/g, (whole, key: string) => values[key] ?? whole),
  );
  lab.world.spawn("unbound", ["-d", "-p", "-c", file]);
  for (const [i, source] of sources.entries()) {
    const nth = ["-m", "statistic", "--mode", "nth", "--every", `${sources.length - i}`, "--packet", "0"];
    const target = [...(i < sources.length - 1 ? nth : []), "-j", "SNAT", "--to-source", source];
    await run(lab.runner(1), "iptables", ["-t", "nat", "-A", "POSTROUTING", "-p", "udp", "--dport", "53", ...target]);
  }
}

/** Writes the questions of each kind into `folder`. */
export function writeQuestions(folder: string): Record<QuestionKind, string> {
  const names: Record<QuestionKind, string[]> = {
    hit: Array.from({ length: 200 }, (_, i) => `n${i}.${hitZone}`),
    // By turns over the domains: 30 names of each, under what one source may ask for in a domain.
    miss: Array.from({ length: 30 }, (_, i) => missZones.map((zone) => `n${i}.${zone}`)).flat(),
    denied: Array.from({ length: 1000 }, (_, i) => `n${i}.denied.example`),
  };
  const write = (kind: QuestionKind) => {
    const file = join(folder, `${kind}.questions`);
    writeFileSync(file, names[kind].map((name) => `${name} A\n`).join(""));
    return file;
  };
  return { hit: write("hit"), miss: write("miss"), denied: write("denied") };
}

/** Throws where an allowed name gets no address through the contender, or, if it filters, where another name gets anything else than NXDOMAIN. */
export async function prove({ lab }: Stand, filters: boolean): Promise<void> {
  const answer = async (name: string) => {
    const text = await run(lab.runner(1), "dig", ["+tries=3", "+time=2", `@${upstream}`, name]);
    return { status: /status: (\w+)/.exec(text)?.[1], address: /\sA\s+([\d.]+)$/m.exec(text)?.[1] };
  };
  for (const zone of [hitZone, missZones[0]!]) {
    const { status, address } = await answer(`proof.${zone}`);
    if (address !== "203.0.113.100") throw new Error(`an allowed name is answered with ${status}, ${address}`);
  }
  if (!filters) return;
  const { status, address } = await answer("proof.denied.example");
  if (status !== "NXDOMAIN" || address !== undefined)
    throw new Error(`a name that is not on its list is answered with ${status}, ${address}`);
}

/**
 * Many outstanding at once for the rate, then one at a time for how long one takes. Throws where answers are not the expected ones.
 * `warm` seconds of the same go before, after every question was asked once; 0 where both was done.
 */
export async function ask(
  { lab }: Stand,
  kind: QuestionKind,
  file: string,
  seconds: number,
  warm: number,
): Promise<Answers> {
  const dnsperf = (...args: string[]) =>
    run(lab.runner(1), "dnsperf", ["-s", upstream, "-d", file, "-t", "2", ...args]);
  if (warm > 0) {
    await dnsperf("-n", "1", "-c", "16", "-q", "64");
    await dnsperf("-c", "64", "-q", "128", "-l", `${warm}`);
  }
  const flood = await dnsperf("-c", "64", "-q", "128", "-l", `${(seconds * 2) / 3}`);
  const expected = kind === "denied" ? "NXDOMAIN" : "NOERROR";
  const share = Number(new RegExp(`${expected} \\d+ \\(([\\d.]+)%\\)`).exec(flood)?.[1] ?? 0);
  if (share < 99) throw new Error(`not ${expected}: ${/Response codes:.*/.exec(flood)?.[0] ?? flood.slice(-300)}`);
  const single = await dnsperf("-c", "1", "-q", "1", "-v", "-l", `${seconds / 3}`);
  const times = [...single.matchAll(/^> \w+ \S+ A ([\d.]+)$/gm)]
    .map(([, time]) => Number(time) * 1e6)
    .toSorted((a, b) => a - b);
  if (times.length === 0) throw new Error(`no answer: ${single.slice(-300)}`);
  const at = (quantile: number) => times[Math.floor(times.length * quantile)]!;
  const count = (pattern: RegExp) => Number(pattern.exec(flood)?.[1] ?? Number.NaN);
  return {
    perSecond: count(/Queries per second:\s+([\d.]+)/),
    p50: at(0.5),
    p99: at(0.99),
    lost: count(/Queries lost:\s+(\d+)/),
  };
}
