/**
 * What the cases of real tools have in common. A tool is set up as its manual says, with its server on the attacker's
 * machine at an address that is this case's own. With nobody in the way, and in monitor mode, it must deliver the marker;
 * in enforce mode not one payload byte may reach that address, whatever the bytes are, and no question its tunnel's zone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LabProcess } from "../../lab/process.ts";
import type { Expected } from "../../support/record.ts";
import type { Attack, Family, Refusal } from "../case.ts";
import type { Job } from "../job.ts";
import { refused, unasked } from "../refusals.ts";
import { attackerOf, type Attacker } from "./attacker.ts";

/** A tool's two ends in one place. */
export type Ends = {
  job: Job;
  attacker: Attacker;
  marker: string;
  /** The case's own address at the attacker's, plain and as in a URL. */
  address: string;
  at: string;
  /** The zone that is delegated to it. */
  zone: string;
  /** A name of its own, for files and devices. */
  name: string;
};

export type ToolCase = Told & {
  /** `iodine: as the manual says`. */
  variant: string;
  /** The last number of the case's address; from 128 to 191 at the attacker's machine. */
  n: number;
  families?: readonly Family[];
  /** Starts what answers; once in a lab and family. */
  server?: (ends: Ends) => Promise<unknown>;
  /** Sends the marker; resolves with `through` where the tool itself can tell that its far end has answered. */
  client: (ends: Ends) => Promise<unknown>;
  /** Which destination port counts where the address is not the case's alone. */
  port?: number;
};

/** What the record must say of a case; `foretold` in monitor mode, where it is another thing. `untranslated` is an attack's. */
export type Told = { refusal: Refusal; foretold?: Refusal | null; untranslated?: readonly Family[] };

/** Reasons that end a connection to an address without a name once its first bytes are known, if they come at all. */
const anyName = /^(no_name|name_mismatch|missing_name|invalid_name|not_protocol|default|syn_data|closed|timeout)$/;

/** Nothing explains the case's address. Monitor mode lets the handshake go on and judges by the first bytes. */
export function nameless(n: number, port?: number, protocol?: string, reason: string | RegExp = anyName): Told {
  const at = (job: Job): object => ({ ip: job.dot(n), ...(port === undefined ? {} : { port }) });
  return {
    refusal: (job) => refused("no_name", { ...at(job), ...(protocol === undefined ? {} : { protocol }) }),
    foretold: (job) => ({ kind: "connection", reason, rule: { name: null, tier: 3 }, destination: at(job) }),
  };
}

/** A question for a name in the case's zone, which nobody allowed. */
export function zoneless(n: number, qtype?: string, reason = "default"): Expected {
  const name = new RegExp(`${zoneOf(n).replace(".", "\\.")}$`);
  return unasked(reason, { name }, qtype === undefined ? {} : { qtype });
}

function zoneOf(n: number): string {
  return `t${n}.example`;
}

export function toolCase(tool: ToolCase): Attack {
  const { variant, n, families, untranslated, server, client, refusal, foretold, port } = tool;
  /** Bytes that were there before, by marker, where the address is another case's too. */
  const before = new Map<string, number>();
  /** Markers, or their like, that the tool says to be through. */
  const through = new Set<string>();
  const payload = async (job: Job): Promise<number> => {
    const filter = { destination: job.dot(n), ...(port === undefined ? {} : { destinationPort: port }) };
    const flows = await job.lab.sink.packets(filter);
    const asked = (await job.lab.internet.dns.queries()).filter(({ name }) => inZone(name, zoneOf(n)));
    const sum = (total: number, { bytes }: { bytes: number }): number => total + bytes;
    return asked.reduce(sum, flows.reduce(sum, 0));
  };
  return {
    kind: "attack",
    row: "tool",
    variant,
    ...(families === undefined ? {} : { families }),
    ...(untranslated === undefined ? {} : { untranslated }),
    refusal,
    ...(foretold === undefined ? {} : { foretold }),
    run: async (job, marker) => {
      const ends = await endsOf(job, marker, n);
      if (server !== undefined) await ends.attacker.once(`${ends.name} server`, () => server(ends));
      if (port !== undefined) before.set(marker, await payload(job));
      try {
        if ((await client(ends)) === "through") through.add(marker);
      } catch (error) {
        // A tool that is held fails; that is what it is held for.
        if (job.stand.mode !== "enforce") throw error;
      }
    },
    arrived: async (job, marker) => {
      const bytes = (await payload(job)) - (before.get(marker) ?? 0);
      const where = `${job.dot(n)} or ${zoneOf(n)}`;
      if (job.stand.mode === "enforce") return { bytes, where };
      if (through.has(marker)) return { bytes, where };
      const { attacker } = await endsOf(job, marker, n);
      if (await attacker.caught(marker, 1_000)) return { bytes: marker.length, where: "the tool's far end, marker" };
      const seen = await job.lab.sink.saw(marker);
      return { bytes: seen ? marker.length : 0, where: `${where}, marker` };
    },
  };
}

function inZone(name: string, zone: string): boolean {
  return name.toLowerCase().endsWith(`.${zone}`) || name.toLowerCase() === zone;
}

async function endsOf(job: Job, marker: string, n: number): Promise<Ends> {
  const attacker = await attackerOf(job.lab);
  return { job, attacker, marker, address: job.dot(n), at: job.at(n), zone: zoneOf(n), name: `t${n}v${job.v}` };
}

/**
 * How long a tool may take to get through, in milliseconds. Where it is held all of them would be spent waiting: there it has
 * as long as its first attempts take.
 */
export function patience({ stand }: Job): number {
  return stand.mode === "enforce" ? 3_000 : 20_000;
}

/** Runs a client in the job's place while it is used; rejects when it does not get ready, with what it said. */
export async function withClient(
  { job }: Ends,
  command: string,
  args: readonly string[],
  ready: RegExp | (() => Promise<unknown>),
  use: (client: LabProcess) => Promise<unknown>,
): Promise<void> {
  const client = job.spawn(command, args);
  try {
    if (ready instanceof RegExp) await client.waitFor(ready, patience(job));
    else await ready();
    await use(client);
  } finally {
    client.signal("SIGTERM");
    const ended = await Promise.race([client.exited, sleep(500)]);
    if (ended === undefined) await client.kill("SIGKILL");
  }
}

/** Repeats what sends the marker until the far end has it. Rejects when it has not in time. */
export async function deliver({ job, attacker, marker }: Ends, send: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + patience(job);
  let last: unknown;
  do {
    last = await send();
    if (await attacker.caught(marker, 300)) return;
  } while (performance.now() < end);
  throw new Error(`the marker did not come out of the tunnel; the last attempt: ${JSON.stringify(last)}`);
}

/** Has the case's zone delegated to its address. */
export async function delegate({ job, zone, address }: Ends): Promise<void> {
  const entry = { records: [], delegate: { address, port: 53 } };
  await job.lab.internet.dns.set(zone, entry);
  await job.lab.internet.dns.set(`*.${zone}`, entry);
}
