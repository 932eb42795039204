/**
 * What the lab's DNS servers say, as data: records per name and how a name misbehaves. `ZoneTable` answers questions from
 * it the way a recursive resolver would (aliases followed, wildcards expanded, negative answers told apart). Pure: no
 * sockets and no clock; `dns-server.ts` carries it to the wire and `default-zone.ts` holds the names every lab has.
 */
import type { HttpsBinding } from "./https-record.ts";

/** One resource record without its owner name; `ttl` in seconds, 60 when absent. */
export type ZoneRecord = { ttl?: number } & (
  | { type: "A" | "AAAA" | "CNAME" | "PTR" | "NS"; data: string }
  | { type: "TXT"; data: string[] }
  | { type: "MX"; data: { preference: number; exchange: string } }
  | { type: "SRV"; data: { priority: number; weight: number; port: number; target: string } }
  | { type: "HTTPS"; data: HttpsBinding }
);

/** The records of a name, and its manners. Everything but `records` is optional and off by default. */
export type ZoneEntry = {
  records: ZoneRecord[];
  /** `order`: the records turn by one at each question; `one`: each question gets one record, in turn. */
  rotate?: "order" | "one";
  /** The answer is held back this long, in milliseconds. */
  delayMs?: number;
  /** This many of the next questions go unanswered (`true`: all of them). */
  drop?: boolean | number;
  /** Answer with this code and no records. */
  rcode?: "NXDOMAIN" | "SERVFAIL" | "REFUSED";
  /** Over UDP answer with the TC bit and no records, whatever the size. */
  truncate?: boolean;
  /** A forged answer before the true one: wrong transaction, wrong question, or bytes that are not DNS. */
  forge?: "id" | "question" | "garbage";
  /** Delegated: the question is put to this name server, byte for byte, and its answer is the answer. */
  delegate?: { address: string; port: number };
};

export type Zone = Record<string, ZoneEntry>;

/** A record with the name it belongs to. */
export type Answer = ZoneRecord & { name: string };

export type Rcode = "NOERROR" | "NXDOMAIN" | "SERVFAIL" | "REFUSED";

export type Resolution = { rcode: Rcode; answers: Answer[]; entry: ZoneEntry | undefined };

/** More aliases than a resolver follows (BIND: 16); a loop ends here too. */
const maxAliases = 16;

/** Lower case, without the trailing dot. */
export function zoneKey(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

export class ZoneTable {
  readonly #entries = new Map<string, ZoneEntry>();
  readonly #turns = new Map<string, number>();

  constructor(zone: Zone) {
    for (const [name, entry] of Object.entries(zone)) this.set(name, entry);
  }

  set(name: string, entry: ZoneEntry): void {
    this.#entries.set(zoneKey(name), { ...entry });
    for (const key of this.#turns.keys()) if (key.startsWith(`${zoneKey(name)} `)) this.#turns.delete(key);
  }

  remove(name: string): void {
    this.#entries.delete(zoneKey(name));
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  /** The entry of a name, or of the wildcard that covers it (RFC 4592: the closest one, and no existing name between). */
  entry(name: string): ZoneEntry | undefined {
    const key = zoneKey(name);
    const exact = this.#entries.get(key);
    if (exact !== undefined) return exact;
    for (let dot = key.indexOf("."); dot >= 0; dot = key.indexOf(".", dot + 1)) {
      const parent = key.slice(dot + 1);
      const wildcard = this.#entries.get(`*.${parent}`);
      if (wildcard !== undefined) return wildcard;
      if (this.#entries.has(parent)) return undefined;
    }
    return undefined;
  }

  /** The answer to one question; `type` is a mnemonic such as `A`. Turns the rotation of every name it passes. */
  resolve(question: string, type: string): Resolution {
    const first = this.entry(question);
    if (first?.rcode !== undefined) return { rcode: first.rcode, answers: [], entry: first };
    const answers: Answer[] = [];
    let name = question;
    for (let hops = 0; hops <= maxAliases; hops++) {
      const entry = this.entry(name);
      if (entry === undefined) return { rcode: "NXDOMAIN", answers, entry: first };
      const alias = entry.records.find((record) => record.type === "CNAME");
      if (alias?.type === "CNAME" && type !== "CNAME" && type !== "ANY") {
        answers.push({ ...alias, name });
        name = alias.data;
        continue;
      }
      const matching = entry.records.filter((record) => record.type === type || type === "ANY");
      answers.push(...this.#turned(name, type, entry, matching).map((record) => ({ ...record, name })));
      return { rcode: "NOERROR", answers, entry: first };
    }
    return { rcode: "SERVFAIL", answers, entry: first };
  }

  /** True when this question is one that goes unanswered; counts a numeric `drop` down. */
  takeDrop(entry: ZoneEntry | undefined): boolean {
    if (entry?.drop === undefined || entry.drop === false) return false;
    if (entry.drop === true) return true;
    if (entry.drop <= 0) return false;
    entry.drop--;
    return true;
  }

  #turned(name: string, type: string, entry: ZoneEntry, records: ZoneRecord[]): ZoneRecord[] {
    if (entry.rotate === undefined || records.length < 2) return records;
    const key = `${zoneKey(name)} ${type}`;
    const turn = this.#turns.get(key) ?? 0;
    this.#turns.set(key, turn + 1);
    const start = turn % records.length;
    if (entry.rotate === "one") return [records[start]!];
    return [...records.slice(start), ...records.slice(0, start)];
  }
}
