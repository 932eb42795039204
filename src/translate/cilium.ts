/**
 * Cilium: `CiliumNetworkPolicy` and `CiliumClusterwideNetworkPolicy` with `toFQDNs` and `toCIDR`, and their deny lists.
 *
 * In a `matchPattern` `*` is any run of characters within one label, or none; `**.` at the start is one or more labels; `*`
 * alone is any name (pkg/fqdn/matchpattern). What a name resolved to is open on the ports of `toPorts`, on all without it.
 * Deny comes before allow whatever the order; allows add up; who is selected by some policy is otherwise denied.
 */
import type { Context } from "./context.ts";
import { sourceFor } from "./context.ts";
import { placesOf, plainName, readPort, rulesFor } from "./draft.ts";
import type { DraftRule, Place, PortSet, RuleBase } from "./draft.ts";
import { at, entriesOf, itemsOf, textOf } from "./field.ts";
import type { Field } from "./field.ts";
import type { Effect, Spot } from "./note.ts";
import { quoted } from "./note.ts";

const kinds = ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"];
const specKeys = "endpointSelector nodeSelector egress egressDeny enableDefaultDeny description labels".split(" ");
const maxRange = 100;

/** The ports of one egress rule by transport; null: none of it. */
interface Ports {
  readonly tcp: PortSet | null;
  readonly udp: PortSet | null;
}

/** Fills the draft from the policies of a file. */
export function importCilium(context: Context): void {
  const { roots, draft, notes, problems } = context;
  const policies = roots.filter((root) => kinds.includes(textOf(at(root, "kind")) ?? ""));
  if (policies.length === 0) {
    const start = () => ({ line: 1, column: 1, text: "" });
    problems.add("empty", start, "there is no policy of Cilium's in it", `It has kind: ${kinds[0]}.`);
    return;
  }
  for (const root of roots) {
    const kind = textOf(at(root, "kind"));
    if (!policies.includes(root) && root.kind === "map")
      notes.add("other", root, `${quoted(kind ?? "this")} is no policy of Cilium's`);
  }
  const denies: DraftRule[] = [];
  const allows: DraftRule[] = [];
  for (const root of policies) {
    const name = plainName(textOf(at(root, "metadata", "name")) ?? "");
    for (const spec of [at(root, "spec"), ...itemsOf(at(root, "specs"))]) {
      if (spec === null) continue;
      for (const [key, entry] of entriesOf(spec)) {
        if (!specKeys.includes(key))
          notes.add("other", entry, `policy ${quoted(name)}: ${key} is not about what goes out`);
      }
      const from = whoIs(spec, name, context);
      if (from === undefined) continue;
      for (const item of itemsOf(at(spec, "egressDeny"))) denies.push(...rule(item, name, from, "deny", context));
      for (const item of itemsOf(at(spec, "egress"))) allows.push(...rule(item, name, from, "allow", context));
    }
  }
  draft.rules.push(...denies, ...allows);
  draft.about.push(
    "Cilium lets a name's addresses through on a port, whatever is spoken there. Here 443 must be TLS that names the host, 80 HTTP, 22 SSH.",
    "Cilium denies by default to the pods that some policy selects; here the default denies to everybody.",
    "Rules for DNS are not needed: questions go to Sallyport's own DNS firewall, which answers for names that some rule has.",
  );
}

function whoIs(spec: Field, name: string, context: Context): readonly string[] | null | undefined {
  if (textOf(at(spec, "enableDefaultDeny", "egress")) === "false") {
    const spot = at(spec, "enableDefaultDeny", "egress")!;
    context.notes.add(
      "narrower",
      spot,
      `policy ${quoted(name)} leaves open what it does not list; here the default denies it`,
    );
  }
  const selector = at(spec, "endpointSelector") ?? at(spec, "nodeSelector");
  if (selector === null || entriesOf(selector).length === 0) return null;
  const effect = at(spec, "egressDeny") === null ? "narrower" : "wider";
  return sourceFor(context, name, `the selector of policy ${quoted(name)}`, selector, effect);
}

function rule(
  item: Field,
  name: string,
  from: readonly string[] | null,
  action: "allow" | "deny",
  context: Context,
): DraftRule[] {
  const { notes } = context;
  // A deny that is lost opens something.
  const lost: Effect = action === "allow" ? "narrower" : "wider";
  const ports = portsOf(at(item, "toPorts"), lost, context);
  for (const [key, entry] of entriesOf(item)) {
    if (["toFQDNs", "toCIDR", "toPorts"].includes(key)) continue;
    if (key === "toEndpoints" && isDns(ports)) continue;
    notes.add(lost, entry, `policy ${quoted(name)}: ${key} has no counterpart here`);
  }
  if (at(item, "toFQDNs") === null && at(item, "toCIDR") === null) {
    if (entriesOf(item).length > 0 && entriesOf(item).every(([key]) => key === "toPorts"))
      notes.add(lost, item, `policy ${quoted(name)}: ports without a destination are every address`);
    return [];
  }
  if (ports === null) return [];
  const names = itemsOf(at(item, "toFQDNs")).flatMap((each) => fqdn(each, context));
  const cidrs = itemsOf(at(item, "toCIDR")).flatMap((each) => prefix(each, lost, context));
  const base: RuleBase = {
    name: action === "deny" ? `${name} (deny)` : name,
    spot: item,
    from,
    ...(action === "deny" ? { action, reason: "egressDeny" } : {}),
  };
  return withTransports(base, [...names, ...cidrs], ports);
}

function withTransports(base: RuleBase, places: readonly Omit<Place, "ports">[], { tcp, udp }: Ports): DraftRule[] {
  const on = (ports: PortSet): Place[] => places.map((place) => ({ ...place, ports }));
  if (places.length === 0) return [];
  const rules = tcp === null ? [] : rulesFor(base, on(tcp), false);
  // Only its datagrams: they are the last of what rulesFor makes.
  if (udp !== null)
    rules.push(
      ...rulesFor({ ...base, name: `${base.name} (udp)` }, on(udp), true).filter((each) => each.protocol === "udp"),
    );
  return rules.map((each) => (each.protocol === "udp" ? { ...each, name: `${base.name} (udp)` } : each));
}

function fqdn(field: Field, context: Context): Omit<Place, "ports">[] {
  const spelling = { product: "Cilium", star: { crossesDots: false, mayBeEmpty: true } };
  const name = at(field, "matchName");
  const pattern = at(field, "matchPattern");
  const text = textOf(name) ?? textOf(pattern);
  if (text === null || (name !== null && text.includes("*"))) {
    context.notes.add("narrower", field, "this has neither a matchName nor a matchPattern");
    return [];
  }
  const spot = (name ?? pattern)!;
  if (text === "*" || text === "**") {
    context.notes.add("same", spot, `${quoted(text)} in Cilium means ** here: any name`);
    return [{ text: "**", kind: "name" }];
  }
  const deep = text.startsWith("**.");
  const rest = (deep ? text.slice(3) : text).replaceAll(/\*+/g, "*");
  const places = placesOf(rest, "any", spot, spelling, context.notes);
  return places.map((place) => ({ ...place, text: deep ? `**.${place.text}` : place.text }));
}

function prefix(field: Field, lost: Effect, { notes }: Context): Omit<Place, "ports">[] {
  const text = textOf(field) ?? "";
  if (/[/:]|^[\d.]+$/.test(text))
    return placesOf(text, "any", field, { product: "Cilium", star: { crossesDots: false, mayBeEmpty: true } }, notes);
  notes.add(lost, field, `${quoted(text)} is no CIDR prefix`);
  return [];
}

/** Null where a restriction cannot be carried: then neither is what it restricts. */
function portsOf(field: Field | null, lost: Effect, { notes }: Context): Ports | null {
  if (field === null) return { tcp: "any", udp: "any" };
  const tcp: (number | "any")[] = [];
  const udp: (number | "any")[] = [];
  let whole = true;
  const refuse = (spot: Spot, message: string): void => {
    notes.add(lost, spot, message);
    whole = false;
  };
  for (const entry of itemsOf(field)) {
    for (const [key, { line, column, value }] of entriesOf(entry)) {
      if (key === "ports" || (key === "rules" && entriesOf(value).every(([kind]) => kind === "dns"))) continue;
      refuse({ line, column }, `${key} narrows the ports in a way that no rule here has`);
    }
    if (at(entry, "ports") === null) tcp.push("any");
    if (at(entry, "ports") === null) udp.push("any");
    for (const port of itemsOf(at(entry, "ports"))) {
      const numbers = range(port);
      if (numbers === null) {
        notes.add(lost, port, `a named port, or a range of more than ${maxRange}, has no counterpart here`);
        continue;
      }
      const protocol = textOf(at(port, "protocol")) ?? "ANY";
      if (protocol === "TCP" || protocol === "ANY") tcp.push(...numbers);
      if (protocol === "UDP" || protocol === "ANY") udp.push(...numbers);
      if (!["TCP", "UDP", "ANY"].includes(protocol))
        notes.add(lost, port, `protocol ${quoted(protocol)} has no counterpart here`);
    }
  }
  return whole ? { tcp: setOf(tcp), udp: setOf(udp) } : null;
}

function setOf(ports: readonly (number | "any")[]): PortSet | null {
  if (ports.includes("any")) return "any";
  return ports.length === 0 ? null : [...new Set(ports as number[])].toSorted((a, b) => a - b);
}

function range(port: Field): (number | "any")[] | null {
  const text = textOf(at(port, "port"));
  if (text === null || text === "0") return ["any"];
  const first = readPort(text);
  const last = readPort(textOf(at(port, "endPort")) ?? text);
  if (first === null || last === null || last < first || last - first >= maxRange) return null;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function isDns(ports: Ports | null): boolean {
  const isOnly53 = (set: PortSet | null | undefined) => set === null || (Array.isArray(set) && set.join() === "53");
  return ports !== null && isOnly53(ports.tcp) && isOnly53(ports.udp);
}
