/**
 * How fast the record takes events: appended (hashed, in memory: what the data path pays), and durable on the disk
 * (written and fdatasynced), against the same bytes written to a file with no chain; the same signed, with a segment
 * sealed for each 10 MB; and verified. Ratios are what to compare between machines. Run: `node bench/audit.ts [directory]`;
 * rounds are interleaved, the spread is shown.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import type { EventBody } from "../src/audit/event.ts";
import { loadSigningKey, makeKeyPair } from "../src/audit/key.ts";
import { Spool, type SpoolOptions } from "../src/audit/spool.ts";
import { verifyRecord } from "../src/audit/verify.ts";

const rounds = 5;
const events = 50_000;
const burst = 250;

function event(i: number): EventBody {
  return {
    kind: "connection",
    verdict: i % 3 === 0 ? "deny" : "allow",
    enforced: true,
    reason: i % 3 === 0 ? "default" : "rule",
    stage: "name",
    rule: { name: "python packages", tier: 2, mode: "enforce", policy: "5d".repeat(32) },
    source: { ip: "192.0.2.10", port: 32_768 + (i % 28_000), group: "python-runners" },
    destination: {
      name: `host${i % 100}.example`,
      name_from: "sni",
      ip: "198.51.100.7",
      port: 443,
      protocol: "tls",
      names_of_ip: [`host${i % 100}.example`],
    },
    tls: {
      version: "1.3",
      alpn: ["h2", "http/1.1"],
      ech: false,
      ja4: "t13d1516h2_8daaf6152771_e5627efa2ab1",
      hello_bytes: 1684,
      hello_segments: 2,
    },
  };
}

interface Round {
  appended: number;
  durable: number;
  signed: number;
  plain: number;
  verified: number;
}

/** Writes all events and waits until they are on the disk; rates are events a second. */
async function write(options: SpoolOptions): Promise<{ appended: number; durable: number; bytes: number }> {
  // Memory for all of it: what is measured is the disk, not when a slow one begins to cost events.
  const spool = await Spool.open({ bufferBytes: 256 * 1024 * 1024, ...options });
  let inside = 0;
  const start = performance.now();
  for (let i = 0; i < events;) {
    const before = performance.now();
    for (const end = i + burst; i < end; i++) spool.append(event(i));
    inside += performance.now() - before;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await spool.flush();
  const durable = performance.now() - start;
  const { bytes, lost } = await spool.close();
  if (lost > 0) throw new Error(`${lost} events were lost`);
  return { appended: rate(inside), durable: rate(durable), bytes };
}

async function round(parent: string): Promise<Round & { bytes: number }> {
  const directory = mkdtempSync(join(parent, "sallyport-bench-"));
  try {
    const unsigned = join(directory, "unsigned");
    const { appended, durable, bytes } = await write({ directory: unsigned });
    const signed = join(directory, "signed");
    const trusted = makeKeyPair(join(directory, "key"));
    const key = loadSigningKey(join(directory, "key"));
    const { durable: withSeals } = await write({ directory: signed, key, segmentBytes: bytes / 4 });

    const verifying = performance.now();
    const { ok, records } = await verifyRecord(signed, [trusted]);
    if (!ok || records !== events) throw new Error("the record does not verify");
    const verified = performance.now() - verifying;
    return {
      appended,
      durable,
      signed: withSeals,
      verified: rate(verified),
      plain: await plain(directory),
      bytes,
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The floor: the same events as JSON lines, no chain, no spool, one fdatasync at the end. */
async function plain(directory: string): Promise<number> {
  const handle = await open(join(directory, "plain"), "w");
  const start = performance.now();
  for (let i = 0; i < events;) {
    let text = "";
    for (const end = i + burst; i < end; i++) text += `${JSON.stringify(event(i))}\n`;
    await handle.write(text);
  }
  await handle.datasync();
  const elapsed = performance.now() - start;
  await handle.close();
  return rate(elapsed);
}

const rate = (milliseconds: number) => (events / milliseconds) * 1000;

const parent = process.argv[2] ?? tmpdir();
console.log(`load ${loadavg()[0]!.toFixed(2)}, ${rounds} rounds of ${events} events in bursts of ${burst}, ${parent}`);
await round(parent);
const results: Round[] = [];
let size = 0;
for (let i = 0; i < rounds; i++) {
  const { bytes, ...rates } = await round(parent);
  results.push(rates);
  size = bytes / events;
}
const median: Record<string, number> = {};
for (const name of ["appended", "durable", "signed", "plain", "verified"] as const) {
  const sorted = results.map((result) => result[name]).toSorted((a, b) => a - b);
  median[name] = sorted[rounds >> 1]!;
  const [low, middle, high] = [sorted[0]!, median[name], sorted.at(-1)!].map((value) =>
    Math.round(value).toLocaleString("en"),
  );
  console.log(`${name.padEnd(9)} ${middle!.padStart(9)} events/s  (${low} to ${high})`);
}
console.log(
  `durable / plain: ${(median["durable"]! / median["plain"]!).toFixed(2)}; signed / durable: ${(median["signed"]! / median["durable"]!).toFixed(2)}; ${Math.round(size)} bytes an event`,
);
