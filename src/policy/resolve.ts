/**
 * From the raw shape of a policy file to the model: names to what they stand for, texts to endpoints, prefixes and times.
 * Reports every problem it meets and goes on, so that one run shows all of them.
 */
import type { Mode, Tier } from "./decision.ts";
import type { Document, Path } from "./document.ts";
import { carriesEch } from "./ech.ts";
import { isEndpointDefect, parseEndpoint } from "./endpoint.ts";
import type { ParsedEndpoint, Ports } from "./endpoint.ts";
import type { Policy, Rule, Service, Target } from "./model.ts";
import { findPreset, isPresetDefect } from "./presets.ts";
import { nearest } from "./problem.ts";
import type { ProblemCode, Problems } from "./problem.ts";
import type { RawDestination, RawPolicy, RawRule } from "./schema.ts";
import { isServiceDefect, servicesFor } from "./services.ts";
import { parseSize } from "./size.ts";
import { Sources } from "./source.ts";

/** An endpoint of a destination with the ports its list gives it. */
interface Listed {
  parsed: ParsedEndpoint;
  listPorts: Ports;
}

/**
 * A rule's sources times its endpoints times their ports, summed over all rules, may reach this; a file past it would
 * take all memory of every worker.
 */
const maxCombinations = 4_000_000;

/** What of a file has the right shape. Null: an entry that has not, whose place in its list still counts. */
export interface ShapedPolicy extends Omit<RawPolicy, "version" | "permits" | "rules"> {
  permits?: (RawRule | null)[] | undefined;
  rules?: (RawRule | null)[] | undefined;
  /** Names of sources and destinations that are declared in the wrong shape: known, so references to them are no error. */
  misshapen: ReadonlySet<string>;
}

/** Resolves a whole file. The result is meaningful only when `problems` is empty afterwards. */
export function resolvePolicy(
  raw: ShapedPolicy,
  document: Document,
  problems: Problems,
  hash: string,
  file: string,
): Policy {
  return new Resolver(raw, document, problems).policy(hash, file);
}

class Resolver {
  readonly #raw: ShapedPolicy;
  readonly #document: Document;
  readonly #problems: Problems;
  readonly #sources: Sources;
  readonly #destinations = new Map<string, readonly Listed[]>();
  readonly #inlineEndpoints = new Map<string, readonly Listed[]>();
  readonly #services = new Map<string, ReturnType<typeof servicesFor>>();
  readonly #names = new Map<string, number>();
  #combinations = 0;

  constructor(raw: ShapedPolicy, document: Document, problems: Problems) {
    this.#raw = raw;
    this.#document = document;
    this.#problems = problems;
    this.#sources = new Sources(
      document,
      (...problem) => this.#report(...problem),
      (name, path, candidates) => this.#unknown("source", name, path, candidates),
    );
  }

  policy(hash: string, file: string): Policy {
    const raw = this.#raw;
    for (const [name, source] of Object.entries(raw.sources ?? {})) {
      this.#checkName(name, ["sources", name], true);
      this.#sources.declare(name, source);
    }
    for (const [name, value] of Object.entries(raw.destinations ?? {})) this.#declareDestination(name, value);
    const rules = [...this.#rules("permits", raw.permits ?? [], 1), ...this.#rules("rules", raw.rules ?? [], 2)];
    const enforceFor = this.#sources.enforceFor(raw.default?.enforce_for ?? [], ["default", "enforce_for"]);
    if (this.#combinations > maxCombinations) {
      this.#report(
        "too_large",
        [],
        `the rules come to ${this.#combinations} combinations of source, endpoint and port (limit ${maxCombinations})`,
        "Use fewer, wider sources or destinations.",
      );
    }
    const mode: Mode = raw.default?.mode ?? "enforce";
    return { hash, file, sources: this.#sources.declared, rules, default: { mode, enforceFor } };
  }

  #report(code: ProblemCode, path: Path, message: string, fix: string, key = false): void {
    this.#problems.add(code, () => this.#document.place(path, key), message, fix);
  }

  #checkName(name: string, path: Path, key: boolean): void {
    if (isGoodName(name)) return;
    const message = `“${name}” is not a good name: it is empty, over 200 characters, or has invisible characters or outer spaces`;
    this.#report("bad_name", path, message, "Write a plain, short name.", key);
  }

  #declareDestination(name: string, value: RawDestination): void {
    const path = ["destinations", name];
    this.#checkName(name, path, true);
    const out: Listed[] = [];
    const list = (texts: readonly string[], at: Path, listPorts: Ports, kind: "name" | "cidr" | null): void => {
      for (const [i, text] of texts.entries()) {
        const parsed = this.#endpoint(text, [...at, i]);
        if (parsed === null) continue;
        if (kind !== null && parsed.endpoint.kind !== kind) {
          const right = kind === "name" ? "cidrs" : "hosts";
          this.#report("bad_endpoint", [...at, i], `“${text}” does not belong here`, `Move it to ${right}.`);
        }
        out.push({ parsed, listPorts });
      }
    };
    if (Array.isArray(value)) list(value, path, null, null);
    else if ("preset" in value) {
      const hosts = findPreset(value.preset);
      if (isPresetDefect(hosts)) this.#report("unknown_reference", [...path, "preset"], hosts.message, hosts.fix);
      else
        list(
          hosts.map(({ host }) => host),
          [...path, "preset"],
          null,
          null,
        );
    } else {
      const ports = portsOf(value.ports);
      list(value.hosts ?? [], [...path, "hosts"], ports, "name");
      list(value.cidrs ?? [], [...path, "cidrs"], ports, "cidr");
      if (value.hosts === undefined && value.cidrs === undefined) {
        this.#report("empty", path, `the destination ${name} has no endpoint`, "Add hosts or cidrs.", true);
      }
    }
    this.#destinations.set(name, out);
  }

  #endpoint(text: string, path: Path): ParsedEndpoint | null {
    const parsed = parseEndpoint(text);
    if (!isEndpointDefect(parsed)) return parsed;
    this.#report(parsed.code, path, parsed.message, parsed.fix);
    return null;
  }

  #rules(section: "permits" | "rules", raws: readonly (RawRule | null)[], tier: Tier): Rule[] {
    const positions = this.#document.itemPositions(section);
    return raws.flatMap((raw, i) => (raw === null ? [] : this.#rule(raw, [section, i], tier, positions[i]!)));
  }

  #rule(raw: RawRule, path: Path, tier: Tier, position: { line: number; column: number }): Rule {
    this.#checkName(raw.name, [...path, "name"], false);
    const twin = this.#names.get(raw.name);
    if (twin === undefined) this.#names.set(raw.name, position.line);
    else {
      const message = `a rule named “${raw.name}” is already on line ${twin}`;
      this.#report("duplicate_name", [...path, "name"], message, "Give every rule a name of its own.");
    }
    if (raw.http !== undefined) {
      const fix = "Remove it; the rule then decides by host name.";
      this.#report("not_in_version", [...path, "http"], "TLS inspection (http) is not in this version", fix, true);
    }
    const monitorUntil = this.#time(raw.monitor_until, [...path, "monitor_until"]);
    if (raw.monitor_until !== undefined && raw.mode === "enforce") {
      const fix = "Remove mode: enforce or monitor_until.";
      this.#report("schema", [...path, "monitor_until"], "monitor_until stands beside mode: enforce", fix, true);
    }
    const from = this.#sources.from(raw.from, [...path, "from"]);
    const targets = this.#targets(raw, path);
    const services = targets.reduce((sum, target) => sum + target.services.length, 0);
    this.#combinations += services * (from?.length ?? 1);
    this.#checkAllowOnly(raw, targets, path);
    return {
      name: raw.name,
      tier,
      action: raw.action ?? "allow",
      mode: raw.mode ?? (raw.monitor_until === undefined ? "enforce" : "monitor"),
      monitorUntil,
      expires: this.#time(raw.expires, [...path, "expires"]),
      ech: raw.ech ?? null,
      uploadLimit: this.#size(raw.upload_limit, [...path, "upload_limit"]),
      reason: raw.reason ?? null,
      owner: raw.owner ?? null,
      from,
      targets,
      ...position,
    };
  }

  /** Keys that would say nothing where they stand. */
  #checkAllowOnly(raw: RawRule, targets: readonly Target[], path: Path): void {
    for (const key of ["ech", "upload_limit"] as const) {
      if (raw[key] === undefined || raw.action !== "deny") continue;
      const message = `${key} stands on a deny rule, which lets nothing through anyway`;
      this.#report("schema", [...path, key], message, `Remove ${key}.`, true);
    }
    if (raw.ech === undefined || raw.action === "deny" || targets.length === 0) return;
    if (targets.some(({ services }) => services.some(({ protocol }) => carriesEch(protocol)))) return;
    const message = "ech stands on a rule without tls or quic, whose hello is not read";
    this.#report("schema", [...path, "ech"], message, "Remove ech, or write protocol: tls.", true);
  }

  #size(text: string | undefined, path: Path): number | null {
    if (text === undefined) return null;
    const size = parseSize(text);
    if (size === null)
      this.#report("bad_size", path, `“${text}” is not an amount of data`, "Write 500 kB, 10 MB or 1 GiB.");
    return size;
  }

  #time(text: string | undefined, path: Path): number | null {
    if (text === undefined) return null;
    const time = parseTime(text);
    if (time === null)
      this.#report("bad_date", path, `“${text}” is not a date`, "Write 2027-01-31 or 2027-01-31T12:00:00Z.");
    return time;
  }

  #unknown(kind: "source" | "destination", name: string, path: Path, candidates: Iterable<string>): void {
    if (this.#raw.misshapen.has(`${kind}s ${name}`)) return;
    const guess = nearest(name, candidates);
    const declare = `Declare it under ${kind}s.`;
    const fix = guess === null ? declare : `Did you mean ${guess}? ${declare}`;
    this.#report("unknown_reference", path, `there is no ${kind} named “${name}”`, fix);
  }

  #targets(raw: RawRule, path: Path): Target[] {
    const out: Target[] = [];
    const rulePorts = portsOf(raw.ports);
    for (const [i, text] of (typeof raw.to === "string" ? [raw.to] : raw.to).entries()) {
      const at = typeof raw.to === "string" ? [...path, "to"] : [...path, "to", i];
      for (const { parsed, listPorts } of this.#destinations.get(text) ?? this.#inlineEndpoint(text, at)) {
        const services = this.#servicesOf(parsed.ports ?? listPorts ?? rulePorts, raw);
        if (!isServiceDefect(services)) {
          out.push({ endpoint: parsed.endpoint, services });
          continue;
        }
        this.#report(services.code, at, `${parsed.endpoint.text}: ${services.message}`, services.fix);
        break;
      }
    }
    return out;
  }

  #servicesOf(ports: Ports, raw: RawRule): readonly Service[] | ReturnType<typeof servicesFor> {
    const protocol = raw.protocol ?? null;
    const key = `${String(ports)} ${protocol}`;
    let services = this.#services.get(key);
    if (services === undefined) this.#services.set(key, (services = servicesFor(ports, protocol)));
    return services;
  }

  #inlineEndpoint(text: string, path: Path): readonly Listed[] {
    const known = this.#inlineEndpoints.get(text);
    if (known !== undefined) return known;
    if (/^[\p{L}\p{N}_ -]+$/u.test(text)) {
      this.#unknown("destination", text, path, this.#destinations.keys());
      return [];
    }
    const parsed = this.#endpoint(text, path);
    if (parsed === null) return [];
    const listed = [{ parsed, listPorts: null }];
    this.#inlineEndpoints.set(text, listed);
    return listed;
  }
}

/** True for what a source, a destination or a rule may be called: names go to terminals and line-based logs. */
export function isGoodName(name: string): boolean {
  return name.trim() === name && name !== "" && name.length <= 200 && !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(name);
}

function portsOf(raw: readonly (number | "*")[] | undefined): Ports {
  if (raw === undefined) return null;
  if (raw.includes("*")) return "any";
  return [...new Set(raw as readonly number[])].toSorted((a, b) => a - b);
}

/** Milliseconds since the epoch: a date means the end of that day in UTC; else RFC 3339. Null when it is neither. */
export function parseTime(text: string): number | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?$/.exec(text);
  if (match === null) return null;
  const day = Date.parse(`${match[1]}-${match[2]}-${match[3]}T00:00:00Z`);
  // Date.parse rolls 31 February over in some engines; a date that does not read back is none.
  if (Number.isNaN(day) || !new Date(day).toISOString().startsWith(text.slice(0, 10))) return null;
  if (match[4] === undefined) return day + 86_400_000;
  const time = Date.parse(text.toUpperCase());
  return Number.isNaN(time) ? null : time;
}
