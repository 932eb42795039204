/**
 * Names as a channel: data smuggled out in what is asked of DNS or shown as SNI or Host, allowed or denied (threats N3, D1,
 * D2). It is told of every judged name and says when many of one source, under one registrable domain, make a message:
 *
 * - `denied_names`: many distinct names that the policy denies.
 * - `name_entropy`: names, denied or not, whose labels together carry more data than any honest use of random labels.
 * - `name_budget`: the DNS budget of allowed names is spent.
 *
 * Each is said once in a window for its source and domain; what follows is counted and said at the window's end. It
 * refuses nothing. `docs/detections.md` argues the thresholds.
 *
 * Memory is bounded. Beyond the bounds names are counted without being told apart, domains of a source together, and at
 * last all sources together: coarser, and sooner alarmed, never blind. Pure: the time is a parameter.
 */
import type { Address } from "../address/ip.ts";
import { type Sender, senderOf } from "../address/sender.ts";
import { registrableDomain } from "../address/suffix.ts";
import { payloadBits } from "./encoded.ts";
import { type Channel, Track } from "./track.ts";

/** What was judged: a name that a source asked for or showed. */
export interface JudgedName {
  source: Address;
  /** Canonical, whole: service labels too. */
  name: string;
  channel: Channel;
  outcome: "passed" | "denied" | "over_budget";
}

export type NameAlertType = "denied_names" | "name_entropy" | "name_budget";

export interface NameAlert {
  type: NameAlertType;
  /** Whose name it was; null for many sources together. */
  source: Address | null;
  /** Null for many domains together. */
  domain: string | null;
  channels: Channel[];
  /** Distinct names in the window, how many of them were denied, and the bytes in labels that look like data. */
  names: number;
  denied: number;
  bytes: number;
  /** Some names were counted without being told apart. */
  approximate: boolean;
  examples: string[];
  perMinute: number;
  /** A window's end: how many more there were after the alert, from when to when (milliseconds since the epoch). */
  more: { count: number; first: number; last: number } | null;
}

export interface NameThresholds {
  /** Milliseconds. */
  window: number;
  deniedNames: number;
  /** Bytes in labels that look like data, and the least number of names that have such labels. */
  encodedBytes: number;
  encodedNames: number;
}

export const nameThresholds: NameThresholds = {
  window: 3_600_000,
  deniedNames: 100,
  encodedBytes: 1024,
  encodedNames: 8,
};

export interface NameBounds {
  /** Source and domain pairs told apart, and those of one source. */
  tracks: number;
  domainsPerSource: number;
  /** Names told apart, of one pair and in all. */
  namesPerTrack: number;
  names: number;
}

export const nameBounds: NameBounds = { tracks: 20_000, domainsPerSource: 256, namesPerTrack: 1024, names: 50_000 };

/**
 * Zones that the public DNS does not have (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`): a denied question about them
 * could reach nobody, and search lists make every stub resolver ask such questions by the hundred.
 */
const nobodys = /(?:^|\.)(?:localhost|local|internal|invalid|home\.arpa)$/;

export class NameDetector {
  readonly #thresholds: NameThresholds;
  readonly #bounds: NameBounds;
  /** In order of last use. */
  readonly #tracks = new Map<string, Track>();
  readonly #holdings = new Map<Sender, { domains: number; names: number }>();
  /** With an alert that its window has not closed, in the order of alerts. */
  readonly #open = new Map<string, { track: Track; type: NameAlertType; closes: number; source: Address | null }>();
  #held = 0;

  constructor(thresholds: Partial<NameThresholds> = {}, bounds: Partial<NameBounds> = {}) {
    this.#thresholds = { ...nameThresholds, ...thresholds };
    this.#bounds = { ...nameBounds, ...bounds };
  }

  /** Names told apart, and pairs of source and domain. */
  get size(): { names: number; tracks: number } {
    return { names: this.#held, tracks: this.#tracks.size };
  }

  /** Counts a name; the alerts it sets off. `now` in milliseconds. */
  see(judged: JudgedName, now: number): NameAlert[] {
    const { source, name, channel, outcome } = judged;
    if (outcome === "denied" && channel === "dns" && nobodys.test(name)) return [];
    const domain = registrableDomain(name) ?? name;
    const track = this.#track(source, domain, now);
    this.#hold(track, -track.expire(now - this.#thresholds.window));
    const room = track.size < this.#bounds.namesPerTrack && this.#hasRoom(track);
    const seen = { name, channel, denied: outcome === "denied", bits: payloadBits(name, domain) };
    const added = track.add(seen, now, room);
    if (added === "held") this.#hold(track, 1);
    const { deniedNames, encodedBytes, encodedNames } = this.#thresholds;
    const isNew = added !== "known";
    const alerts: NameAlert[] = [];
    const check = (type: NameAlertType, over: boolean, counts: boolean): void => {
      if (counts && over) alerts.push(...this.#alert(track, type, source, now));
    };
    check("denied_names", track.denied >= deniedNames, isNew && seen.denied);
    check("name_entropy", track.bits >= encodedBytes * 8 && track.encoded >= encodedNames, isNew && seen.bits > 0);
    check("name_budget", true, outcome === "over_budget");
    return alerts;
  }

  /** The alerts whose window has closed by `now` (Infinity: all) and that had more to follow. Call it about once a second. */
  tick(now: number): NameAlert[] {
    const out: NameAlert[] = [];
    for (const [key, { track, type, closes, source }] of this.#open) {
      if (closes > now) break;
      this.#open.delete(key);
      const more = track.close(type);
      if (more !== null) out.push({ ...track.summary(now, this.#thresholds.window), type, source, more });
    }
    for (const [key, track] of this.#tracks) {
      if (track.last > now - this.#thresholds.window) break;
      this.#forget(key, track);
    }
    return out;
  }

  #alert(track: Track, type: NameAlertType, source: Address, now: number): NameAlert[] {
    if (!track.begin(type, now)) return [];
    const known = track.sender === null ? null : source;
    this.#open.set(`${type}\0${track.key}`, { track, type, closes: now + this.#thresholds.window, source: known });
    return [{ ...track.summary(now, this.#thresholds.window), type, source: known, more: null }];
  }

  /** The finest track there is room for. */
  #track(source: Address, domain: string, now: number): Track {
    const sender = senderOf(source);
    const exact = `${sender}\0${domain}`;
    const pooled = `${sender}\0`;
    const { tracks, domainsPerSource } = this.#bounds;
    const known = this.#tracks.get(exact);
    if (known !== undefined) return this.#used(exact, known);
    if ((this.#holdings.get(sender)?.domains ?? 0) < domainsPerSource && this.#tracks.size < tracks) {
      this.#holding(sender).domains++;
      return this.#used(exact, new Track(exact, sender, domain, now));
    }
    const together = this.#tracks.get(pooled);
    if (together !== undefined) return this.#used(pooled, together);
    // A tenth more, for sources with too many domains when everything is taken; beyond it everybody is one.
    if (this.#tracks.size < tracks + Math.floor(tracks / 10))
      return this.#used(pooled, new Track(pooled, sender, null, now));
    return this.#used("", this.#tracks.get("") ?? new Track("", null, null, now));
  }

  #used(key: string, track: Track): Track {
    this.#tracks.delete(key);
    this.#tracks.set(key, track);
    return track;
  }

  #forget(key: string, track: Track): void {
    this.#tracks.delete(key);
    this.#hold(track, -track.size);
    if (track.sender === null) return;
    const holding = this.#holding(track.sender);
    if (track.domain !== null) holding.domains--;
    if (holding.domains === 0 && holding.names === 0) this.#holdings.delete(track.sender);
  }

  #holding(sender: Sender): { domains: number; names: number } {
    let holding = this.#holdings.get(sender);
    if (holding === undefined) this.#holdings.set(sender, (holding = { domains: 0, names: 0 }));
    return holding;
  }

  #hold(track: Track, names: number): void {
    this.#held += names;
    if (track.sender !== null) this.#holding(track.sender).names += names;
  }

  /** Nobody holds more than a quarter of what is free, so that a flood of one source does not make the others coarse. */
  #hasRoom({ sender }: Track): boolean {
    const free = this.#bounds.names - this.#held;
    const mine = sender === null ? 0 : (this.#holdings.get(sender)?.names ?? 0);
    return free > 0 && mine < free / 4;
  }
}
