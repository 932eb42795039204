/** One policy of Aviatrix's as rules: destinations, web groups, ports and protocol. */
import type { Protocol } from "../policy/decision.ts";
import { usualProtocol } from "../policy/question.ts";
import type { Groups } from "./aviatrix-groups.ts";
import type { Context } from "./context.ts";
import { placesOf, readPort, rulesFor, withPorts } from "./draft.ts";
import type { DraftRule, Place, PortSet, RuleBase } from "./draft.ts";
import { at, itemsOf, textOf } from "./field.ts";
import type { Field } from "./field.ts";
import { quoted } from "./note.ts";
import type { Effect } from "./note.ts";

const spelling = { product: "Aviatrix", star: { crossesDots: true, mayBeEmpty: false } };
const webPorts = [80, 443, 8080, 8443];
const maxRange = 100;

/** What is known of a policy before its destinations are read. */
export interface Rule {
  readonly field: Field;
  readonly base: RuleBase;
  readonly isDeny: boolean;
  readonly isTls: boolean;
  /** What it comes to when a part of the policy is left out. */
  readonly lost: Effect;
  readonly groups: Groups;
}

/** The default action rule; null: there is none, and what no policy matches is permitted. */
export function importDefault(values: Field | null, { draft, notes }: Context): void {
  const action = textOf(at(values, "action"));
  draft.mode = action === "DENY" ? "enforce" : "monitor";
  if (action === "DENY") return;
  const what =
    values === null
      ? "There is no default action rule, so what no policy matches is permitted"
      : "The default action permits";
  const message = `${what}. Here it passes, too, and is recorded: the default is in mode monitor.`;
  if (values === null) draft.about.push(message);
  else notes.add("same", values, message);
}

/** The rules of a policy. */
export function rulePlaces(rule: Rule, context: Context): DraftRule[] {
  const { field, base, lost } = rule;
  const ports = portsOf(rule, context);
  if (ports === null) return [];
  const protocol = textOf(at(field, "protocol")) ?? "ANY";
  const webGroups = itemsOf(at(field, "web_groups"));
  if (webGroups.length > 0) return webRules(rule, webGroups, ports, protocol, context);
  const places = destinations(rule, context);
  const on = (ports: PortSet): Place[] => places.map((place) => ({ ...place, ports }));
  const opaque = (protocol: Protocol, suffix: string): DraftRule => ({
    ...base,
    name: `${base.name}${suffix}`,
    to: places.map(({ text }) => (protocol === "icmp" ? bare(text) : withPorts(text, ports))),
    protocol,
  });
  if (places.length === 0) return [];
  switch (protocol) {
    case "TCP":
      if (rule.isTls) return [opaque("tls", "")];
      return rule.isDeny ? [opaque("tcp", "")] : rulesFor(base, on(ports), false);
    case "UDP":
      return [opaque("udp", "")];
    case "ICMP":
      return [opaque("icmp", "")];
    case "ANY":
      if (rule.isTls) return [opaque("tls", "")];
      return [
        ...(rule.isDeny ? [opaque("tcp", "")] : rulesFor(base, on(ports), false)),
        opaque("udp", " (udp)"),
        ...(ports === "any" ? [opaque("icmp", " (icmp)")] : []),
      ];
    default:
      context.notes.add(lost, at(field, "protocol")!, `protocol ${quoted(protocol)} is unknown here`);
      return [];
  }
}

function bare(text: string): string {
  return text.includes(":") && !text.includes("/") ? `[${text}]` : text;
}

/** Names by SNI or Host: TCP alone, and only towards the Internet, as the product has it. */
function webRules(
  rule: Rule,
  groups: readonly Field[],
  ports: PortSet,
  protocol: string,
  context: Context,
): DraftRule[] {
  const { field, base, lost } = rule;
  const { notes } = context;
  if (protocol !== "TCP" && protocol !== "ANY") {
    notes.add(lost, at(field, "protocol")!, `web groups are for TCP, and the protocol is ${quoted(protocol)}`);
    return [];
  }
  const others = itemsOf(at(field, "dst_smart_groups")).filter((item) => {
    const { kind } = rule.groups.smart(textOf(item) ?? "");
    return kind !== "anywhere" && kind !== "internet";
  });
  if (others.length > 0) {
    notes.add(
      lost,
      others[0]!,
      "a web group together with a destination that is not the Internet has no counterpart here",
    );
    return [];
  }
  const texts = groups.flatMap((item) => {
    const group = rule.groups.web(textOf(item) ?? "", item);
    if (group === null) notes.add(lost, item, `web group ${quoted(textOf(item) ?? "")} is not in this file`);
    for (const url of group?.urls ?? [])
      notes.add(lost, url, `${quoted(url.text)} is about a path, which is not read here`);
    for (const other of group?.others ?? [])
      notes.add(lost, other, `${quoted(other.text)} is a filter that is unknown here`);
    return (group?.hosts ?? [])
      .flatMap((host) => placesOf(host.text, [], host, spelling, notes))
      .map(({ text }) => text);
  });
  if (texts.length === 0) return [];
  const all = ports === "any" ? webPorts : ports;
  const rules: DraftRule[] = [];
  const add = (ports: readonly number[], suffix: string, protocol?: Protocol): void => {
    if (ports.length === 0) return;
    const name = rules.length === 0 ? base.name : `${base.name} (${suffix})`;
    const to = [...new Set(texts)].map((text) => withPorts(text, ports));
    rules.push({ ...base, name, to, ...(protocol === undefined ? {} : { protocol }) });
  };
  const isUsual = (port: number) => port === 443 || (port === 80 && !rule.isTls);
  const unusual = all.filter((port) => !isUsual(port) && !(rule.isTls && usualProtocol(port) === "http"));
  add(all.filter(isUsual), "known ports");
  // The product reads either on any port; a rule here says which.
  add(unusual, "tls", "tls");
  if (!rule.isTls) add(unusual, "http", "http");
  return rules;
}

function destinations(rule: Rule, context: Context): Omit<Place, "ports">[] {
  const { field, isDeny, lost, groups } = rule;
  const { notes } = context;
  return itemsOf(at(field, "dst_smart_groups")).flatMap((item): Omit<Place, "ports">[] => {
    const group = groups.smart(textOf(item) ?? "");
    if (group.kind === "anywhere" || (group.kind === "internet" && isDeny)) {
      if (group.kind === "internet")
        notes.add("narrower", item, "Public Internet became every address: private ones are denied, too");
      return ["0.0.0.0/0", "::/0"].map((text) => ({ text, kind: "cidr" }));
    }
    if (group.kind === "internet") {
      notes.add(lost, item, "a permit for the whole Internet without names is left out: name what is needed");
      return [];
    }
    if (group.kind === "unknown") {
      notes.add(lost, item, `smart group ${quoted(group.name)} ${group.why}, so as a destination it is left out`);
      return [];
    }
    const cidrs = group.cidrs.map((text) => ({ text, kind: "cidr" as const }));
    return [...cidrs, ...group.hosts.flatMap((host) => placesOf(host.text, "any", host, spelling, notes))];
  });
}

/** Null where a range cannot be carried: then neither is the policy. */
function portsOf({ field, base, lost }: Rule, { notes }: Context): PortSet | null {
  const ranges = itemsOf(at(field, "port_ranges"));
  const ports: number[] = [];
  for (const item of ranges) {
    const [lo, hi] = [textOf(at(item, "lo")) ?? "", textOf(at(item, "hi")) ?? ""];
    const first = lo === "0" ? 1 : readPort(lo);
    const last = hi === "" || hi === "0" ? first : readPort(hi);
    if (first === 1 && last === 65535) return "any";
    if (first === null || last === null || last < first || last - first >= maxRange) {
      notes.add(
        lost,
        item,
        `policy ${quoted(base.name)}: ${quoted(`${lo}-${hi}`)} is no range of at most ${maxRange} ports`,
      );
      return null;
    }
    for (let port = first; port <= last; port++) ports.push(port);
  }
  return ports.length === 0 ? "any" : [...new Set(ports)].toSorted((a, b) => a - b);
}
