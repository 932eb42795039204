/**
 * What a case of the battery is, and what it comes to. An attack is a way out that a job may try, with a marker to look for
 * at the far end and the event that the record must hold; a work is something that an allowed job does every day. Each is one
 * function, run unchanged in front of nobody, of an enforcing and of a monitoring firewall.
 */
import type { Expected } from "../support/record.ts";
import type { Job } from "./job.ts";

/** Where the firewall stands: at a network's edge, or around one command. */
export const fronts = ["gateway", "run"] as const;
export type Front = (typeof fronts)[number];
export const modes = ["enforce", "monitor"] as const;
export type Mode = (typeof modes)[number];
export type Family = 4 | 6;

/**
 * - `held`: enforce; not a byte arrived, and the record says what was tried, which rule stopped it and why.
 * - `leak`: enforce; the marker, or payload, arrived at the far end.
 * - `works`: monitor; the attempt arrived as if nobody were there, and the record foretells its denial. Of a work, in
 *   either mode: it did what it does without us, and the record has its allowed connection.
 * - `broken`: monitor kept an attempt from arriving, or a work failed or saw another result than without us.
 * - `no-event`, `wrong-reason`: the record misses the attempt, or tells another reason, rule or stage.
 * - `inconclusive`: with nobody in the way the attempt does not arrive either, so it proves nothing.
 */
export type Result = "held" | "leak" | "works" | "broken" | "no-event" | "wrong-reason" | "inconclusive";

/** One case in one place, as `--json` shows it. */
export type CaseResult = {
  /** Unique: row, variant, front, mode, family. */
  id: string;
  row: string;
  variant: string;
  front: Front;
  mode: Mode;
  family: Family;
  result: Result;
  evidence: Evidence;
};

export type Evidence = {
  /** What was looked for at the far end. */
  marker?: string;
  /** Where it was seen; empty where it was not. */
  arrived?: string[];
  /** Whether the same attempt arrives with nobody in the way; `not-applicable` with the reason where it never can. */
  control?: string;
  /** The event that was found. */
  event?: object;
  expected?: unknown;
  /** What was recorded in its stead, or what went wrong. */
  note?: string;
  /** What it came to before it was tried once more. */
  first?: Result;
  ms: number;
};

/** What the record must say of the refusal, without verdict; of the marker where the name holds it. */
export type Refusal = Expected | ((job: Job, marker: string) => Expected);

type Common = {
  /** Of the threat list (`N6`), a tool (`tool`), or `works`. */
  row: string;
  /** What is tried, in words; unique within the row. */
  variant: string;
  /** Left out: both. */
  fronts?: readonly Front[];
  /** Left out: both. */
  families?: readonly Family[];
  /** Ends only by a time limit: it runs beside the others. Its events must be told apart by what they name. */
  slow?: true;
};

export type Attack = Common & {
  kind: "attack";
  /** Tries to get the marker out. What its programs say does not matter; that it throws means it could not be tried. */
  run: (job: Job, marker: string) => Promise<unknown>;
  refusal: Refusal;
  /** What monitor says instead: it lets the handshake go on, and may know more. `null`: the same as `refusal`. */
  foretold?: Refusal | null;
  /** Why nothing can arrive even with nobody in the way; then only the event counts, and that nothing arrived. */
  unreachable?: string;
  /**
   * The families in which connection tracking makes no connection of it, so that no address translation translates it. A run
   * stands behind one: there monitor cannot carry it either (docs/limits.md), and only the event counts.
   */
  untranslated?: readonly Family[];
  /**
   * Where the marker is not to be found on the wire (a tunnel encrypts it): how many payload bytes of the attempt reached the
   * far end, and in words where. Zero bytes is held.
   */
  arrived?: (job: Job, marker: string) => Promise<{ bytes: number; where: string }>;
};

export type Work = Common & {
  kind: "work";
  /** Does it; throws where it fails. What it resolves with must be the same in front of everybody. */
  run: (job: Job) => Promise<unknown>;
  /** The event of its allowed connection, without verdict; left out where it opens none of its own. */
  allowance?: Expected | ((job: Job) => Expected);
};

export type Case = Attack | Work;

/** `N6`, `a hello in eight segments` → `N6.a-hello-in-eight-segments`. */
export function caseName({ row, variant }: Pick<Case, "row" | "variant">): string {
  return `${row}.${variant
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")}`;
}
