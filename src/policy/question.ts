/**
 * One question to a policy as people write it (who, where to, what is spoken) and its answer at every stage. What was left
 * out is filled in by an address that stands for all the others: "any" source is in no source of the policy, a name without
 * an address is at an ordinary address that no CIDR rule covers. `explain.ts` and `cases.ts` build on this.
 */
import { formatCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import { isNameDefect, nameDefectTexts, toAscii } from "../address/name.ts";
import { specialClass } from "../address/special.ts";
import { readProcess } from "./asked-process.ts";
import type { AskedProcess } from "./asked-process.ts";
import { carriesEch } from "./ech.ts";
import type { Application, Decision, Engine, NameFacts, NotYet, ProcessFacts, Protocol, Stage } from "./decision.ts";
import { holdsAddress } from "./model.ts";
import type { Policy, Source, Target } from "./model.ts";
import { nearest } from "./problem.ts";
import type { ProblemCode } from "./problem.ts";
import { showsName, transportOf } from "./protocol.ts";
import { addressOutside, regionsOf, specialPrefixes } from "./regions.ts";

/** A policy in force, and the addresses that stand for "any". Made once for many questions. */
export interface Scene {
  readonly policy: Policy;
  readonly engine: Engine;
  /** In no source that has subnets, declared or inline; null where those hold every address. */
  readonly stranger: Address | null;
  /** Ordinary, and in no CIDR endpoint where there is such an address. */
  readonly anywhere: Address;
}

/** A question as written. */
export interface Asked {
  /** An address, the name of a declared source, or `any`. */
  readonly source: string;
  /** `host[:port]`, `address[:port]`, or `host/address[:port]` for a name at an address. */
  readonly endpoint: string;
  /** Null: by port, and where the port says nothing, whatever the policy allows there. */
  readonly protocol: Protocol | null;
  /** The hello carries Encrypted Client Hello. */
  readonly ech: boolean;
  /** Null: what the source asks for, if it is one that asks for a process; else not known. */
  readonly process: AskedProcess | null;
}

/** A question understood. */
export interface Question {
  readonly asked: Asked;
  readonly source: Address;
  readonly process: ProcessFacts | null;
  /** Null: a bare address. */
  readonly name: string | null;
  /** Null: wherever the name is. */
  readonly address: Address | null;
  /** 0 for icmp. */
  readonly port: number;
  readonly protocol: Protocol;
  /** Neither written nor said by the port: chosen because the policy allows it, or tcp. */
  readonly assumed: boolean;
}

/** Why a question cannot be asked. */
export interface QuestionDefect {
  readonly part: "source" | "endpoint" | "protocol" | keyof AskedProcess;
  readonly code: ProblemCode;
  readonly message: string;
  readonly fix: string;
}

/** One stage's answer. `reached` is false where an earlier stage settled it. */
export interface StageAnswer {
  readonly stage: Stage;
  readonly reached: boolean;
  readonly decision: Decision | NotYet;
}

/** What happens to a flow. `outcome` is the decision that counts. */
export interface Answer {
  readonly stages: readonly StageAnswer[];
  readonly outcome: Decision;
  /** The decision about the complete flow, whether or not the flow gets that far. */
  readonly flow: Decision;
}

/** True for the failure arm of {@link readQuestion}. */
export function isQuestionDefect(value: Question | QuestionDefect): value is QuestionDefect {
  return "part" in value;
}

const documentation = ["203.0.113.1", "198.51.100.1", "192.0.2.1"].map((text) => parseAddress(text)!);

/** Prepares a policy for questions. */
export function setScene(policy: Policy, engine: Engine): Scene {
  const cidrs = policy.rules.flatMap(({ targets }) => cidrsOf(targets));
  return { policy, engine, stranger: strangerTo(subnetsOf(policy)), anywhere: ordinaryAddress(cidrs) };
}

/** The prefixes among endpoints. */
export function cidrsOf(targets: readonly Target[]): Cidr[] {
  return targets.flatMap(({ endpoint }) => (endpoint.kind === "cidr" ? [endpoint.cidr] : []));
}

/** An address in none of the subnets, or null. */
export function strangerTo(subnets: readonly Cidr[]): Address | null {
  return addressOutside(subnets, documentation.toReversed());
}

/** An ordinary address in none of the prefixes; where they cover every one, one in the widest of them alone. */
export function ordinaryAddress(cidrs: readonly Cidr[]): Address {
  const free = addressOutside([...cidrs, ...specialPrefixes], documentation);
  if (free !== null) return free;
  const regions = regionsOf([...cidrs, ...specialPrefixes]).filter(({ address }) => specialClass(address) === null);
  return regions.reduce((a, b) => (b.cidr.length < a.cidr.length ? b : a)).address;
}

/** Every prefix that is a source somewhere in the policy. */
export function subnetsOf(policy: Policy): Cidr[] {
  return sourcesOf(policy).flatMap((source) => source.subnets ?? []);
}

/** The declared sources and the inline ones of rules. */
export function sourcesOf(policy: Policy): Source[] {
  const sources = new Set(policy.sources);
  for (const { from } of policy.rules) for (const source of from ?? []) sources.add(source);
  return [...sources];
}

/** Reads a question; the defect names the part that is wrong. */
export function readQuestion(scene: Scene, asked: Asked): Question | QuestionDefect {
  const source = readSource(scene, asked.source);
  if (typeof source !== "string") return source;
  const declared = scene.policy.sources.find(({ name }) => name === asked.source);
  const process = readProcess(asked.process, declared?.process ?? null);
  if (process !== null && "part" in process) return process;
  const endpoint = readEndpoint(asked.endpoint);
  if ("part" in endpoint) return endpoint;
  if (asked.protocol === "icmp" && endpoint.port !== null) {
    return { part: "endpoint", code: "bad_endpoint", message: "icmp has no ports", fix: "Leave the port out." };
  }
  const { name, address } = endpoint;
  const base = { asked, source, process, name, address };
  const port = asked.protocol === "icmp" ? 0 : (endpoint.port ?? usualPort[asked.protocol ?? "tls"] ?? 443);
  const protocol = asked.protocol ?? usualProtocol(port) ?? (asked.ech ? "tls" : null);
  if (asked.ech && (protocol === null || !carriesEch(protocol))) {
    const message = `${protocol} has no hello that could carry Encrypted Client Hello`;
    return { part: "protocol", code: "schema", message, fix: "Ask about tls or quic." };
  }
  if (protocol !== null) return { ...base, port, protocol, assumed: false };
  const guess = guesses.find(
    (protocol) => answer(scene, { ...base, port, protocol, assumed: true }).outcome.answer === "allow",
  );
  return { ...base, port, protocol: guess ?? "tcp", assumed: true };
}

/** Opaque before what it holds, so that a rule is told by its own protocol. */
const guesses: readonly Protocol[] = ["tcp", "tls", "http", "ssh", "udp", "quic"];
const usualPort: Partial<Record<Protocol, number>> = { http: 80, ssh: 22 };

/** The protocol that goes without saying on a port, as in rules. */
export function usualProtocol(port: number): Protocol | null {
  return port === 443 ? "tls" : port === 80 ? "http" : port === 22 ? "ssh" : null;
}

function readSource({ policy, engine, stranger }: Scene, text: string): Address | QuestionDefect {
  const declared = policy.sources.find((source) => source.name === text);
  const isAnywhere = declared !== undefined && declared.subnets === null;
  if (declared !== undefined && !isAnywhere) return memberOf(declared, policy, engine);
  if (isAnywhere) return stranger ?? documentation[0]!;
  if (text === "any") {
    if (stranger !== null) return stranger;
    const message = "every address is in some source of this policy";
    return { part: "source", code: "unknown_reference", message, fix: "Name a source or an address instead of any." };
  }
  const address = parseAddress(text);
  if (address !== null) return address;
  const known = policy.sources.map((source) => source.name);
  const guess = nearest(text, known);
  const list = known.length === 0 ? "The policy declares none." : `Declared: ${known.join(", ")}.`;
  const fix = `${guess === null ? "" : `Did you mean ${guess}? `}Write an address, any, or a declared source. ${list}`;
  return { part: "source", code: "unknown_reference", message: `there is no source named “${text}”`, fix };
}

/** An address of a source, in no other one where there is such an address. */
function memberOf(source: Source, policy: Policy, engine: Engine): Address {
  const own = regionsOf(subnetsOf(policy)).filter(({ address }) => holdsAddress(source, address));
  const isShared = (address: Address) =>
    policy.sources.some((other) => other !== source && other.subnets !== null && holdsAddress(other, address));
  const best =
    own.find(({ address, cidr }) => isSubnet(source, cidr) && !isShared(address)) ??
    own.find(({ address }) => !isShared(address)) ??
    own.find(({ address }) => engine.group(address) === source.name) ??
    own[0];
  return best?.address ?? source.subnets![0]!.address;
}

function isSubnet(source: Source, cidr: Cidr): boolean {
  const text = formatCidr(cidr);
  return source.subnets!.some((subnet) => formatCidr(subnet) === text);
}

interface AskedEndpoint {
  name: string | null;
  address: Address | null;
  port: number | null;
}

function readEndpoint(text: string): AskedEndpoint | QuestionDefect {
  const bad = (message: string, fix: string): QuestionDefect => ({
    part: "endpoint",
    code: "bad_endpoint",
    message,
    fix,
  });
  const forms = "Write host[:port], address[:port] or host/address[:port].";
  if (text.includes("://")) return bad(`“${text}” is a URL`, "Write the host alone, with a port if it is not 443.");
  const slash = text.indexOf("/");
  const last = slash < 0 ? text : text.slice(slash + 1);
  const split = splitPort(last);
  if (split === null) return bad(`“${text}” has no port from 1 to 65535`, forms);
  const address = parseAddress(split.host);
  if (slash < 0) {
    if (address !== null) return { name: null, address, port: split.port };
  } else if (parseAddress(text.slice(0, slash)) !== null && /^\d+(:.*)?$/.test(last)) {
    return bad(`“${text}” is a prefix; a question is about one address`, "Write one address of it.");
  } else if (address === null) {
    return bad(`“${split.host}” is not an address`, forms);
  }
  const host = slash < 0 ? split.host : text.slice(0, slash);
  if (/[*{}]/.test(host))
    return bad(`“${host}” is a pattern; a question is about one name`, "Write one name it matches.");
  const name = toAscii(host);
  if (isNameDefect(name)) return bad(`“${host}” is not a host name: ${nameDefectTexts[name.defect]}`, forms);
  return { name, address, port: split.port };
}

/** Null where what stands for a port is none. */
function splitPort(text: string): { host: string; port: number | null } | null {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text);
  const plain = text.split(":").length === 2 ? /^([^:]*):(.*)$/s.exec(text) : null;
  const match = bracketed ?? plain;
  if (match === null) return { host: text, port: null };
  if (match[2] === undefined) return { host: match[1]!, port: null };
  if (!/^[1-9][0-9]{0,4}$/.test(match[2]) || Number(match[2]) > 65535) return null;
  return { host: match[1]!, port: Number(match[2]) };
}

/** The complete flow a question is about: the name is bound to the address, and shown where the protocol shows one. */
export function flowOf({ anywhere }: Scene, question: Question): NameFacts {
  const { source, process, name, address, port, protocol } = question;
  return {
    source,
    process,
    destination: address ?? anywhere,
    local: false,
    transport: transportOf(protocol),
    port,
    names: name === null ? [] : [name],
    application: applicationOf(protocol),
    name: showsName(protocol) ? name : null,
    ech: question.asked.ech,
  };
}

function applicationOf(protocol: Protocol): Application {
  return protocol === "tcp" || protocol === "udp" || protocol === "icmp" ? "other" : protocol;
}

/**
 * Asks every stage. A client that knows only the name is stopped where its DNS question is refused; one that has an
 * address goes on from there.
 */
export function answer(scene: Scene, question: Question): Answer {
  const { engine } = scene;
  const flow = flowOf(scene, question);
  const dns = question.name === null ? null : engine.dns({ source: question.source, name: question.name });
  const connect = engine.connect(flow);
  const name = engine.name(flow);
  const isResolved = dns === null || dns.passes || question.address !== null;
  const isSettled = connect.answer !== "not_yet";
  const stages: StageAnswer[] = [
    ...(dns === null ? [] : [{ stage: "dns" as const, reached: true, decision: dns }]),
    { stage: "connect", reached: isResolved, decision: connect },
    { stage: "name", reached: isResolved && !isSettled, decision: name },
  ];
  const outcome = !isResolved ? dns : isSettled ? connect : name;
  return { stages, outcome, flow: name };
}
