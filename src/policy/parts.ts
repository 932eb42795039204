/**
 * A policy in parts, each small enough to be taken in by a thread that has other things to do: a policy of ten thousand rules in one
 * message would stop its event loop for as long as it takes to copy. Put together again it is the same policy, each source one object.
 * Pure.
 */
import { formatPattern, isExact } from "../address/pattern.ts";
import type { Endpoint, Policy, Rule, Service, Source, Target } from "./model.ts";

/** Everything but the rules; sources are named by their place in `sources`. */
export interface PolicyHead {
  hash: string;
  file: string;
  sources: readonly Source[];
  /** How many of `sources`, from the first, are the policy's own; the others are those that rules use. */
  declared: number;
  default: { mode: Policy["default"]["mode"]; enforceFor: readonly number[] };
}

/** A rule's beginning, or null: more targets of the rule before. */
export interface RulePart {
  rule: (Omit<Rule, "from" | "targets"> & { from: readonly number[] | null }) | null;
  targets: readonly Target[];
}

/** One of the messages in which a policy goes to another thread. */
export interface PolicyPart {
  /** Its place among them, from 0; the head comes with the first one. */
  place: number;
  /** Of which policy: no part of another one may stand beside it. */
  hash: string;
  /** For which moment it is to be compiled, ms since the epoch. */
  at: number;
  /** What {@link contentsOf} reads: written once for all threads, where each would have it copied object by object. */
  text: string;
  isLast: boolean;
}

export interface PartContents {
  /** With the first one. */
  head: PolicyHead | null;
  parts: RulePart[];
}

/** {@link PartContents} as they go: most endpoints are exact names, and most rules speak of the same services. */
interface Packed {
  head: PolicyHead | null;
  services: (readonly Service[])[];
  rules: { rule: RulePart["rule"]; targets: [endpoint: Endpoint | string, services: number][] }[];
}

/** Targets in one part: what a thread takes in and compiles in a millisecond or two. */
const targetsInPart = 200;

/** The policy in parts of `size` targets; at least one part. */
function partsOf(policy: Policy, size: number = targetsInPart): { head: PolicyHead; parts: RulePart[][] } {
  const { hash, file, rules } = policy;
  const places = new Map<Source, number>();
  const placesOf = (sources: readonly Source[]) =>
    sources.map((source) => {
      const known = places.get(source) ?? places.size;
      places.set(source, known);
      return known;
    });
  placesOf(policy.sources);
  const { mode } = policy.default;
  const enforceFor = placesOf(policy.default.enforceFor);
  const parts: RulePart[][] = [[]];
  let room = size;
  for (const { from, targets, ...rest } of rules) {
    let rule: RulePart["rule"] = { ...rest, from: from === null ? null : placesOf(from) };
    let at = 0;
    do {
      if (room === 0) {
        parts.push([]);
        room = size;
      }
      const some = targets.slice(at, at + room);
      parts.at(-1)!.push({ rule, targets: some });
      rule = null;
      at += room;
      // A rule without targets takes room as well.
      room -= Math.max(1, some.length);
    } while (at < targets.length);
  }
  const sources = [...places.keys()];
  return { head: { hash, file, sources, declared: policy.sources.length, default: { mode, enforceFor } }, parts };
}

/** A policy as messages, in their order and at least one; each is written when it is first asked for, and once for all who ask. */
export class OutgoingPolicy implements Iterable<PolicyPart> {
  readonly #policy: Policy;
  readonly #at: number;
  readonly #head: PolicyHead;
  readonly #parts: RulePart[][];
  readonly #written: PolicyPart[] = [];

  /** For the moment `at`; in parts of `size` targets. */
  constructor(policy: Policy, at: number, size?: number) {
    const { head, parts } = partsOf(policy, size);
    [this.#policy, this.#at, this.#head, this.#parts] = [policy, at, head, parts];
  }

  *[Symbol.iterator](): Generator<PolicyPart> {
    for (const [place, parts] of this.#parts.entries()) {
      yield (this.#written[place] ??= {
        place,
        hash: this.#policy.hash,
        at: this.#at,
        text: JSON.stringify(packed({ head: place === 0 ? this.#head : null, parts })),
        isLast: place === this.#parts.length - 1,
      });
    }
  }
}

function packed({ head, parts }: PartContents): Packed {
  const places = new Map<string, number>();
  const services: (readonly Service[])[] = [];
  const rules = parts.map(({ rule, targets }) => ({
    rule,
    targets: targets.map((target): Packed["rules"][0]["targets"][0] => {
      const { endpoint } = target;
      const key = target.services.map(({ port, protocol }) => `${port}/${protocol}`).join();
      const place = places.get(key) ?? services.push(target.services) - 1;
      places.set(key, place);
      const isText =
        endpoint.kind === "name" && isExact(endpoint.pattern) && formatPattern(endpoint.pattern) === endpoint.text;
      return [isText ? endpoint.text : endpoint, place];
    }),
  }));
  return { head, services, rules };
}

/** The contents of a part's text, which only {@link OutgoingPolicy} writes. */
export function contentsOf(text: string): PartContents {
  const { head, services, rules } = JSON.parse(text) as Packed;
  const parts = rules.map(({ rule, targets }) => ({
    rule,
    targets: targets.map(([endpoint, place]) => ({
      endpoint: typeof endpoint === "string" ? exactly(endpoint) : endpoint,
      services: services[place]!,
    })),
  }));
  return { head, parts };
}

/** The endpoint that is this canonical name. */
function exactly(text: string): Endpoint {
  const labels = text.split(".").map((label) => ({ kind: "literal" as const, text: label }));
  return { kind: "name", pattern: { deep: false, labels }, text };
}

/** Puts the parts together, in their order. */
export class PolicyParts {
  readonly #head: PolicyHead;
  readonly #rules: (Rule & { targets: Target[] })[] = [];

  constructor(head: PolicyHead) {
    this.#head = head;
  }

  add(parts: readonly RulePart[]): void {
    for (const { rule, targets } of parts) {
      if (rule !== null) this.#rules.push({ ...rule, from: this.#sources(rule.from), targets: [...targets] });
      else this.#rules.at(-1)?.targets.push(...targets);
    }
  }

  policy(): Policy {
    const { hash, file, sources, declared, default: given } = this.#head;
    const enforceFor = given.enforceFor.map((place) => sources[place]!);
    return {
      hash,
      file,
      sources: sources.slice(0, declared),
      rules: this.#rules,
      default: { mode: given.mode, enforceFor },
    };
  }

  #sources(places: readonly number[] | null): readonly Source[] | null {
    return places === null ? null : places.map((place) => this.#head.sources[place]!);
  }
}
