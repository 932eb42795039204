/**
 * Live: from here, behind whatever stands in the way, to a sink on a server of the user's. Nothing but that sink is ever
 * probed: the first contact is the proof of the token, and a server that answers without it ends the run. What did not
 * arrive is blocked only on the sink's word that it was up and saw nothing, and that the same had arrived before.
 */
import { randomBytes } from "node:crypto";
import { Resolver } from "node:dns/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { SallyportError } from "../errors.ts";
import { parseAddress } from "../address/ip.ts";
import { fireAll } from "./agent.ts";
import { echoOf, newCanary } from "./canary.ts";
import { numberOf } from "./catalogue.ts";
import { type Contact, contactSink, fetchTestimony, readTestimony } from "./contact.ts";
import { judgeLive, type Result } from "./judge.ts";
import { unmetIn } from "./needs.ts";
import type { Testimony } from "./sink/testimony.ts";
import type { Fired, Shot, Technique } from "./technique.ts";

export interface LiveOptions {
  techniques: readonly Technique[];
  /** `host`, `address` or either with `:port,port`; all of them the same server. */
  sink: readonly string[];
  token: string;
  /** Names that the firewall under test allows: shown to the sink as SNI or Host, never contacted. */
  allowed: { tls: string | null; http: string | null };
  /** Delegated to the sink. */
  zone: string | null;
  /** A file or an address of the web that holds the sink's testimony; null: ask the sink. */
  testimony: string | null;
  onProgress?: (text: string) => void;
  signal?: AbortSignal;
}

export interface SinkAddress {
  name: string | null;
  v4: string | null;
  v6: string | null;
  /** Null: every port that a technique uses. */
  ports: number[] | null;
}

const patienceMs = 3_000;
/** A firewall that drops says nothing, so most of the time is waiting. */
const atOnce = 40;
const settleMs = 1_000;
/** A process that was left behind sends after three seconds. */
const leftBehindMs = 4_000;
/** How far the sink's clock and ours may be apart, where times have to be compared. */
const slackMs = 5_000;
/** A sink writes its file every second. */
const testimonyWaitMs = 15_000;

/** Throws USAGE, NOT_YOUR_SINK. */
export async function simulateLive(options: LiveOptions): Promise<Result[]> {
  const { techniques, token, allowed, zone, signal } = options;
  const say = options.onProgress ?? (() => {});
  const sink = await locate(options.sink);
  say(`first contact with ${options.sink.join(", ")}`);
  const contact = await contactSink(sink, sink.ports ?? portsOf(techniques), token);
  if (contact === null) say("the sink cannot be reached from here; only its testimony can tell");
  signal?.throwIfAborted();
  const offer = {
    sites: { ...allowed, wildcard: null },
    v6: sink.v6 !== null,
    zone: zone !== null,
    range: false,
    raw: process.getuid?.() === 0,
  };
  const unmet = new Map(techniques.map((each) => [each.id, unmetIn(each, offer) ?? portUnmet(each, sink)] as const));
  const shots = techniques
    .filter(({ id }) => unmet.get(id) === null)
    .map((technique) => ({ technique, shot: shotOf(technique, sink, options) }));
  say(`${shots.length} techniques from here to the sink`);
  const begun = Date.now();
  const outcomes = new Map<string, Fired>();
  await fireAll(shots, ({ technique, ...fired }) => outcomes.set(technique, fired), atOnce);
  signal?.throwIfAborted();
  await sleep(shots.some(({ technique }) => technique.id === "detached-process") ? leftBehindMs : settleMs);
  const testimony = await obtain(options, contact, begun, Date.now(), say);
  const canaries = new Map(shots.map(({ technique, shot }) => [technique.id, shot.canary]));
  return techniques.map((technique) => {
    const canary = canaries.get(technique.id) ?? "";
    const fired = outcomes.get(technique.id) ?? null;
    const facts = { technique, unmet: unmet.get(technique.id)!, canary, fired, testimony };
    return judgeLive({ ...facts, echo: echoOf(token, canary) });
  });
}

function portsOf(techniques: readonly Technique[]): number[] {
  return [
    ...new Set([443, 80, ...techniques.flatMap(({ channel }) => (channel.kind === "tcp" ? [channel.port] : []))]),
  ];
}

function portUnmet({ channel }: Technique, { ports }: SinkAddress): string | null {
  if (ports === null || (channel.kind !== "tcp" && channel.kind !== "udp") || ports.includes(channel.port)) return null;
  return `the sink was given without port ${channel.port}`;
}

/** The words of `--sink` as one server. */
async function locate(words: readonly string[]): Promise<SinkAddress> {
  const sink: SinkAddress = { name: null, v4: null, v6: null, ports: null };
  for (const word of words) {
    const match = /^(?:\[([^\]]+)\]|([^:,]+|[0-9a-fA-F:]*::?[0-9a-fA-F:.]+))(?::(\d{1,5}(?:,\d{1,5})*))?$/.exec(word);
    const host = match?.[1] ?? match?.[2];
    if (host === undefined) throw new SallyportError("USAGE", `--sink ${word} is no HOST[:PORTS].`);
    if (match?.[3] !== undefined) sink.ports = match[3].split(",").map(Number);
    if (sink.ports?.some((port) => port < 1 || port > 65_535) === true) {
      throw new SallyportError("USAGE", `--sink ${word} has a port that is none.`);
    }
    const address = parseAddress(host);
    if (address === null) sink.name = host.toLowerCase();
    else if (address.length === 4) sink.v4 = host;
    else sink.v6 = host;
  }
  if (sink.name !== null && sink.v4 === null && sink.v6 === null) {
    const resolver = new Resolver({ timeout: patienceMs, tries: 1 });
    sink.v4 = (await resolver.resolve4(sink.name).catch(() => []))[0] ?? null;
    sink.v6 = (await resolver.resolve6(sink.name).catch(() => []))[0] ?? null;
  }
  return sink;
}

function shotOf(technique: Technique, sink: SinkAddress, { token, allowed, zone }: LiveOptions): Shot {
  return {
    canary: newCanary(token, technique.id),
    collector: { name: sink.name, v4: sink.v4, v6: sink.v6 },
    zone,
    // Never the allowed site itself: its name goes to the sink.
    site: { ...allowed, wildcard: null, address: sink.v4 ?? sink.v6 },
    range: null,
    sourcePort: 20_000 + ((numberOf(technique.id) + randomBytes(2).readUInt16BE(0)) % 10_000),
    patience: patienceMs,
  };
}

/** A testimony that covers the time of the attempts, or why there is none. */
async function obtain(
  { testimony, token, signal }: LiveOptions,
  contact: Contact | null,
  begun: number,
  ended: number,
  say: (text: string) => void,
): Promise<Testimony | string> {
  if (contact !== null) {
    const said = await fetchTestimony(contact, token);
    // The same process answered before and after: no clock is needed.
    if (typeof said !== "string") return said.sink === contact.sink ? said : "the sink was started again in between";
    if (testimony === null) return `the sink's testimony did not come: ${said}`;
  }
  if (testimony === null) return "no testimony: the sink cannot be asked from here, and none was given (--testimony)";
  say(`waiting for a testimony in ${testimony} that covers the attempts`);
  let why = "";
  for (const end = Date.now() + testimonyWaitMs; Date.now() < end; await sleep(500)) {
    signal?.throwIfAborted();
    const said = await readTestimony(testimony, token);
    if (typeof said === "string") return `the testimony proves nothing: ${said}`;
    why = "unread" in said ? said.unread : covers(said, begun, ended);
    if (why === "" && !("unread" in said)) return said;
  }
  return `the testimony proves nothing: ${why}`;
}

/** By the clocks of two machines, which agree within the slack. Empty: it does. */
function covers({ since, until }: Testimony, begun: number, ended: number): string {
  if (Date.parse(since) > begun - slackMs) return `the sink was up only since ${since}`;
  return Date.parse(until) < ended + slackMs ? `it ends at ${until}, too early` : "";
}
