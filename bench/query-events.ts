/**
 * A synthetic record for bench/query.ts: lines as the spool writes them (the project's own `sealLine`), in segments of its size
 * and under its names. What is in them is drawn like a build farm's traffic: few names with most of the connections, a long
 * tail, runners with jobs, names that are refused, repeats that were counted, new names towards the end.
 */
import { mkdirSync, openSync, writeSync, closeSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { genesis, sealLine } from "../src/audit/chain.ts";
import { formatTime } from "../src/audit/clock.ts";
import type { EventBody } from "../src/audit/event.ts";
import { segmentAt } from "../src/audit/segment.ts";
import { withDefaults } from "../src/audit/spool-options.ts";
import { ulidGenerator } from "../src/audit/ulid.ts";

export interface Written {
  events: number;
  bytes: number;
  segments: number;
}

const policy = "5d".repeat(32);
const rules = ["python packages", "npm packages", "container images", "github", "internal mirror", "artifacts"];
const names = 4_000;
const runners = 400;
const daysBack = 30;

/**
 * Writes `count` events, each its own, over the last thirty days under `directory`; `onProgress` is told after each megabyte. The
 * newest segment is the one that would be written.
 */
export async function writeSynthetic(
  directory: string,
  count: number,
  onProgress: (done: Written) => void,
): Promise<Written> {
  const { segmentBytes } = withDefaults({ directory });
  const random = mulberry(20_260_504);
  const ulid = ulidGenerator();
  const end = Date.now() * 1000;
  const step = (daysBack * 86_400_000_000) / count;
  const written: Written = { events: 0, bytes: 0, segments: 0 };
  mkdirSync(`${directory}/events`, { recursive: true });
  let fd = -1;
  let size = Infinity;
  let hash = genesis.hash;
  let text = "";
  const flush = () => {
    if (text !== "") written.bytes += writeSync(fd, text);
    text = "";
  };
  while (written.events < count) {
    const at = end - (count - written.events) * step;
    for (const body of bodies(random, written.events / count)) {
      const seq = ++written.events;
      const sealed = sealLine(body, seq, hash, formatTime(at), ulid(Math.floor(at / 1000)));
      hash = sealed.hash;
      if (size + sealed.line.length + 1 > segmentBytes) {
        flush();
        if (fd >= 0) closeSync(fd);
        fd = openSync(segmentAt(directory, seq).path, "wx", 0o600);
        written.segments++;
        size = 0;
      }
      size += sealed.line.length + 1;
      text += `${sealed.line}\n`;
      if (text.length > 1 << 20) {
        flush();
        onProgress(written);
        // Ctrl-C is heard in between.
        await setImmediate();
      }
    }
  }
  flush();
  closeSync(fd);
  return written;
}

/** One thing that a job does: a question, a connection and its end; or a refusal. `age` from 0 (old) to 1 (now). */
function bodies(random: () => number, age: number): EventBody[] {
  const runner = Math.floor(random() * runners);
  const source = {
    ip: `10.20.${runner >> 8}.${runner & 255}`,
    port: 32_768 + Math.floor(random() * 28_000),
    group: runner % 3 === 0 ? "python-runners" : runner % 3 === 1 ? "node-runners" : null,
  };
  // Squared twice: the first names have most of it. The last ones appear late.
  const index = Math.floor(random() ** 4 * names * (0.9 + 0.1 * age));
  const name = index % 7 === 0 ? `n${index}.cdn.example` : `host${index}.example`;
  const ip = `198.51.${(index >> 8) & 255}.${index & 255}`;
  const roll = random();
  const isAllowed = roll < 0.9;
  const verdict = isAllowed ? "allow" : roll < 0.97 ? "would_deny" : "deny";
  const rule = {
    name: isAllowed ? rules[index % rules.length]! : null,
    tier: isAllowed ? (2 as const) : (3 as const),
    mode: verdict === "would_deny" ? ("monitor" as const) : ("enforce" as const),
    policy,
  };
  const common = { verdict, enforced: verdict !== "would_deny", rule } as const;
  const reason = isAllowed ? "rule" : "default";
  const asked: EventBody = {
    kind: "dns",
    ...common,
    reason,
    stage: "dns",
    source,
    destination: { name, name_from: "dns", protocol: "dns" },
    dns: {
      qtype: "A",
      server: "10.20.0.1",
      rcode: verdict === "deny" ? "NXDOMAIN" : "NOERROR",
      answers: [ip],
      ttl: 60,
    },
  };
  if (verdict === "deny") {
    const repeats = random() < 0.1 ? { count: 1 + Math.floor(random() * 500) } : {};
    return [{ ...asked, ...repeats }];
  }
  const destination = { name, name_from: "sni" as const, ip, port: 443, protocol: "tls" as const };
  const connected: EventBody = {
    kind: "connection",
    ...common,
    reason,
    stage: "name",
    source,
    destination: { ...destination, names_of_ip: [name] },
    tls: {
      version: "1.3",
      alpn: ["h2", "http/1.1"],
      ech: false,
      ja4: "t13d1516h2_8daaf6152771_e5627efa2ab1",
      hello_bytes: 1684,
      hello_segments: 2,
    },
  };
  const ended: EventBody = {
    kind: "flow_end",
    ...common,
    source,
    destination,
    bytes: { up: 800 + Math.floor(random() ** 8 * 5e7), down: 4_000 + Math.floor(random() ** 6 * 5e8) },
    packets: { up: 12, down: 40 },
    duration_ms: Math.floor(random() * 20_000),
  };
  return random() < 0.5 ? [asked, connected, ended] : [connected, ended];
}

/** A small generator with a seed, so that two runs measure the same record. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
