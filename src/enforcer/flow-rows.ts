/**
 * Live connections as rows of a snapshot: what was known of them when they were let through. A binding runs out while a long
 * download goes on; without its row a restart could not tell it from a connection that nobody allowed, and would end it.
 */
import { type Address, formatAddress, parseAddress } from "../address/ip.ts";
import { canonicalName } from "../address/name.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import type { Application, ProcessFacts } from "../policy/decision.ts";
import { transportOf } from "./adopt-flows.ts";

const applications: readonly unknown[] = ["tls", "http", "ssh", "quic", "other"] satisfies Application[];

export function flowRow(flow: LiveFlow): unknown[] {
  const { source, sourcePort, destination, destinationPort, protocol, local } = flow;
  const { application, name, names, begunEnforced, verdict, rule, tier, since, ech, monitored } = flow;
  const tuple = [formatAddress(source), sourcePort, formatAddress(destination), destinationPort, protocol, local];
  return [
    ...tuple,
    application,
    name,
    names,
    begunEnforced,
    verdict,
    rule,
    tier,
    since,
    ech,
    monitored,
    flow.also ?? [],
    processRow(flow.process),
  ];
}

function processRow(process: ProcessFacts | null): unknown[] | null {
  return process === null ? null : [process.step, process.action, process.exe, process.runner];
}

/** Undefined for a row that is none. */
function processOf(row: unknown): ProcessFacts | null | undefined {
  if (row === null) return null;
  if (!Array.isArray(row)) return undefined;
  const [step, action, exe, runner] = row as unknown[];
  const isText = (value: unknown): value is string | null => value === null || typeof value === "string";
  return isText(step) && isText(action) && isText(exe) && typeof runner === "boolean"
    ? { step, action, exe, runner }
    : undefined;
}

/** Null for a row that is none. */
export function flowOf(row: readonly unknown[]): LiveFlow | null {
  const [from, sourcePort, to, destinationPort, protocol, local] = row;
  const [application, name, names, begunEnforced, verdict, rule, tier, since, ech, monitored] = row.slice(6);
  // Rows of earlier versions end before these.
  const [also = [], processed = null] = row.slice(16);
  const process = processOf(processed);
  const source = addressOf(from);
  const destination = addressOf(to);
  if (source === null || destination === null || source.length !== destination.length) return null;
  if (!isWhole(sourcePort, 65_535) || !isWhole(destinationPort, 65_535) || !isWhole(protocol, 255)) return null;
  if (typeof local !== "boolean" || !isWhole(since, Number.MAX_SAFE_INTEGER)) return null;
  if (application !== null && !applications.includes(application)) return null;
  if (name !== null && !isName(name)) return null;
  if (!Array.isArray(names) || !names.every(isName)) return null;
  if (!Array.isArray(also) || !also.every(isName)) return null;
  if (process === undefined) return null;
  if (typeof begunEnforced !== "boolean" || typeof ech !== "boolean") return null;
  if (!Array.isArray(monitored) || !monitored.every((each) => typeof each === "string")) return null;
  if (verdict !== "allow" && verdict !== "would_deny") return null;
  if (rule !== null && typeof rule !== "string") return null;
  if (tier !== 1 && tier !== 2 && tier !== 3) return null;
  return {
    source,
    sourcePort,
    destination,
    destinationPort,
    transport: transportOf(protocol),
    protocol,
    local,
    process,
    who: null,
    application: application as Application | null,
    name,
    ...(also.length === 0 ? {} : { also }),
    names,
    ech,
    begunEnforced,
    verdict,
    rule,
    monitored,
    tier,
    since,
  };
}

function addressOf(text: unknown): Address | null {
  return typeof text === "string" ? parseAddress(text) : null;
}

function isWhole(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && canonicalName(value) === value;
}
