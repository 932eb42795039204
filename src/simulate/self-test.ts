/**
 * A fast self-test of an enforcer: a few refusals that must come, tried right here and judged by the enforcer's own record.
 * Only addresses and names that nobody has (RFC 5737, RFC 3849, RFC 2606). "Held" means that the record has a denial that
 * was enforced for that very attempt; whatever else happens, or does not, is no proof and fails. Called by whoever starts an
 * enforcer, before it says that it enforces.
 */
import { randomBytes, randomInt } from "node:crypto";
import { Resolver } from "node:dns/promises";
import dgram from "node:dgram";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Event } from "../audit/event.ts";
import { readEvents } from "../audit/read.ts";
import { dnsQuery } from "./probe/fire.ts";
import { hasGlobalV6 } from "./probe/system.ts";

export interface SelfTestOptions {
  /** The enforcer's state directory. */
  state: string;
  /** For all of it, ms. */
  timeout?: number;
  /** Whether to try IPv6; by default where the machine has an address of it. */
  v6?: boolean;
}

export interface Check {
  id: string;
  name: string;
  held: boolean;
  why: string;
  /** The event's id. */
  event: string | null;
}

export interface SelfTestResult {
  schema: "sallyport.self-test/1";
  held: boolean;
  ms: number;
  checks: Check[];
}

interface Attempt {
  id: string;
  name: string;
  /** What it resolves with, if anything, is over with the answer: nothing of an attempt may come after the test. */
  fire: () => void | Promise<void>;
  isIts: (event: Event) => boolean;
}

const v4 = () => `192.0.2.${randomInt(1, 255)}`;
const v6 = () => `2001:db8:5e1f::${randomInt(1, 65_536).toString(16)}`;
/** Chance makes an event this attempt's own. */
const port = () => randomInt(20_000, 60_000);

/** Takes less than two seconds. Rejects with RECORD_UNREADABLE where there is no record. */
export async function selfTest(options: SelfTestOptions): Promise<SelfTestResult> {
  const begun = performance.now();
  // The clock of a record may be a little behind this one's rounding.
  const since = new Date(Date.now() - 1_000).toISOString();
  const deadline = begun + (options.timeout ?? 1_800);
  const attempts = attemptsFor(options.v6 ?? hasGlobalV6());
  const found = new Map<string, Event>();
  // Before anything is tried: where there is no record, nothing is tried.
  for await (const _ of readEvents(options.state, { since })) break;
  const over = Promise.all(attempts.map(async ({ fire }) => fire()));
  while (found.size < attempts.length && performance.now() < deadline) {
    await sleep(25);
    for await (const event of readEvents(options.state, { since })) {
      const mine = attempts.find((attempt) => attempt.isIts(event));
      if (mine === undefined) continue;
      // A pass beats a denial: an attempt that was let through once did not hold.
      const before = found.get(mine.id);
      if (before === undefined || isDenial(before)) found.set(mine.id, event);
    }
  }
  const late = new AbortController();
  const patience = sleep(Math.max(0, deadline - performance.now()), undefined, { signal: late.signal });
  await Promise.race([over, patience.catch(() => {})]);
  late.abort();
  const checks = attempts.map(({ id, name }) => checkOf(id, name, found.get(id)));
  const held = checks.every((check) => check.held);
  return { schema: "sallyport.self-test/1", held, ms: Math.round(performance.now() - begun), checks };
}

function isDenial({ verdict, enforced }: Event): boolean {
  return verdict === "deny" && enforced === true;
}

function checkOf(id: string, name: string, event: Event | undefined): Check {
  if (event === undefined) return { id, name, held: false, why: "the record has no event of it", event: null };
  const held = isDenial(event);
  const why = held
    ? `denied: ${event.reason}`
    : `recorded as ${event.verdict}, ${event.enforced ? "" : "not "}enforced`;
  return { id, name, held, why, event: event.id };
}

function attemptsFor(has6: boolean): Attempt[] {
  const tcp = (id: string, name: string, address: string, to: number): Attempt => ({
    ...{ id, name },
    fire: () => {
      const socket = net.connect({ host: address, port: to });
      socket.on("error", () => {}).setTimeout(1_500, () => socket.destroy());
      socket.once("connect", () => socket.destroy());
    },
    isIts: goesTo(address, to),
  });
  const udp = (id: string, name: string, address: string, to: number): Attempt => ({
    ...{ id, name },
    fire: () => send(address, to, Buffer.from("sallyport self-test")),
    isIts: goesTo(address, to),
  });
  const label = randomBytes(10).toString("hex");
  const asks = (id: string, name: string, host: string, fire: Attempt["fire"]): Attempt => ({
    ...{ id, name, fire },
    isIts: ({ kind, destination }) => kind === "dns" && destination?.name?.toLowerCase() === host,
  });
  const [first, second] = [`${label}.a.invalid`, `${label}.b.invalid`];
  return [
    tcp("tcp-raw-address", "TCP to a bare address", v4(), port()),
    tcp("tls-raw-address", "port 443 of a bare address", `198.51.100.${randomInt(128, 255)}`, 443),
    udp("udp-raw-address", "UDP to a bare address", v4(), port()),
    asks("dns-label", "data in a DNS label", first, () => {
      new Resolver({ timeout: 1_500, tries: 1 }).resolve4(first).catch(() => {});
    }),
    asks("direct-resolver", "a resolver of one's own", second, () => ask(v4(), dnsQuery(second, 1))),
    ...(has6 ? [tcp("tcp-raw-ipv6", "TCP to a bare IPv6 address", v6(), port())] : []),
  ];
}

function goesTo(address: string, to: number): (event: Event) => boolean {
  return ({ kind, destination }) => kind === "connection" && destination?.ip === address && destination.port === to;
}

function send(address: string, to: number, payload: Buffer): void {
  const socket = dgram.createSocket("udp4");
  socket.on("error", () => {});
  socket.send(payload, to, address, () => socket.close());
}

/** Open until the answer is here: to one that finds the port closed the kernel replies, and that would be refused as well. */
function ask(address: string, query: Buffer): Promise<void> {
  const socket = dgram.createSocket("udp4").unref();
  socket.on("error", () => {});
  socket.send(query, 53, address);
  return new Promise((resolve) => socket.once("message", () => resolve(void socket.close())));
}
