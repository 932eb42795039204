/** What the tests of this room share: events as the gateway writes them, made by the hundred, and evidence from them. */
import type { Event, EventBody } from "../../audit/event.ts";
import { formatTime } from "../../audit/clock.ts";
import type { Engine } from "../../policy/decision.ts";
import type { Aim } from "../advice.ts";
import { Gatherer, type Evidence } from "../evidence.ts";
import { propose, type Proposal, type ProposeOptions } from "../propose.ts";
import { type Input, RunTeller } from "../runs.ts";

/** 1 May 2026, in microseconds. */
const epoch = Date.parse("2026-05-01T00:00:00Z") * 1000;

export const gateway: Input = { id: "gateway", kind: "gateway", job: null };

type Protocol = NonNullable<EventBody["destination"]>["protocol"];

export interface Given {
  source?: string;
  group?: string | null;
  /** Seconds after the epoch. */
  at?: number;
  /** Bound by DNS; null: a bare address. */
  name?: string | null;
  /** Shown in the hello; the bound name where left out. */
  shown?: string | null;
  ip?: string;
  port?: number;
  protocol?: Protocol;
  verdict?: "allow" | "deny" | "would_deny";
  reason?: EventBody["reason"];
  rule?: string | null;
  count?: number;
  ech?: boolean;
  identity?: object;
}

/** A connection as a monitoring gateway records it, or as `given` has it. */
export function connection(given: Given = {}): Event {
  const { source = "10.20.1.7", group = null, at = 0, ip = "203.0.113.10", port = 443, protocol = "tls" } = given;
  const { verdict = "would_deny", reason = "default", rule = null, count, ech, identity } = given;
  const name = given.name === undefined ? "pypi.org" : given.name;
  const hasHello = protocol === "tls" || protocol === "http" || protocol === "quic";
  const shown = given.shown === undefined ? (hasHello ? name : null) : given.shown;
  const isEnforced = verdict === "deny";
  return recorded(at, {
    kind: "connection",
    verdict,
    enforced: verdict !== "would_deny",
    reason: name === null && reason === "default" ? "no_name" : reason,
    stage: "name",
    rule: {
      name: rule,
      tier: rule === null ? 3 : 2,
      mode: rule !== null || isEnforced ? "enforce" : "monitor",
      policy: "0",
    },
    source: { ip: source, port: 40_000, group, ...(identity === undefined ? {} : { identity }) },
    destination: {
      name: shown ?? name,
      name_from: shown !== null ? (protocol === "http" ? "host" : "sni") : name !== null ? "dns" : "none",
      ip,
      port,
      protocol,
      ...(name === null ? {} : { names_of_ip: [name] }),
    },
    ...(ech === true
      ? { tls: { version: "1.3", alpn: [], ech: true, ja4: "", hello_bytes: 500, hello_segments: 1 } }
      : {}),
    ...(count === undefined ? {} : { count }),
  });
}

/** An event at a time, with the recorder's members. */
export function recorded(at: number, body: EventBody): Event {
  const time = formatTime(epoch + at * 1_000_000);
  return { schema: "sallyport.event/1", time, id: "", seq: 0, prev: "", hash: "", ...body };
}

/** An event as it was handed to the recorder. */
export function bodyOf({ schema: _s, time: _t, id: _i, seq: _q, prev: _p, hash: _h, ...body }: Event): EventBody {
  return body;
}

/** What a gatherer makes of events. */
export function evidenceOf(events: readonly Event[], input: Input = gateway, engine: Engine | null = null): Evidence {
  const gatherer = new Gatherer(new RunTeller(600_000), engine);
  for (const event of events) gatherer.add(event, input);
  return gatherer.finish();
}

/** Whatever time the runs are from: what the tests make is of a few days. */
export const aim: Aim = { risk: 0.05, confidence: 0.95, span: 0, together: 300_000 };

export const plain: ProposeOptions = { mode: "enforce", accept: new Set(), stars: false, sources: [] };

export function proposalOf(events: readonly Event[], options: Partial<ProposeOptions> = {}): Proposal {
  return propose(evidenceOf(events), { ...plain, ...options });
}
