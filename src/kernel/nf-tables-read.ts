/**
 * Native tables of nf_tables read back: to compare with what was written, and for their counters. The kernel's bytes, read within
 * bounds. Called by `machine-hooks.ts`.
 */
import * as libc from "./libc.ts";
import {
  AttributeCursor,
  MessageWriter,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NFGEN_HEADER,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  netfilterType,
} from "./netlink.ts";
import { families, type Family } from "./nf-tables.ts";

const SUBSYSTEM = 10;
const [NEW_CHAIN, GET_CHAIN, NEW_RULE, GET_RULE] = [3, 4, 6, 7].map((message) => netfilterType(SUBSYSTEM, message)) as [
  number,
  number,
  number,
  number,
];

/** One table as the kernel has it: its chains' hooks and rules, without the numbers that counters count. */
export interface FoundTable {
  /** Equal where the tables are. Empty where there is none. */
  fingerprint: string;
  /** Packets that met each chain's counters, in the order of its rules. */
  counts: ReadonlyMap<string, readonly number[]>;
}

/** Reads a table back. Throws KernelError. */
export function readTable(family: Family, name: string): FoundTable {
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    const lines: string[] = [];
    const counts = new Map<string, number[]>();
    const ask = (type: number, use: (bytes: Buffer, start: number, end: number) => void) => {
      const sequence = socket.sequence();
      const writer = new MessageWriter(256);
      writer
        .begin(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, families[family])
        .text(1, name)
        .end();
      socket.request("nf_tables dump", writer, sequence, (bytes, message) => {
        if (message.type === NEW_CHAIN || message.type === NEW_RULE) {
          use(bytes, message.start + NFGEN_HEADER, message.end);
        }
      });
    };
    ask(GET_CHAIN, (bytes, start, end) => {
      const chain = readChain(bytes, start, end);
      if (chain.table === name) lines.push(`chain ${chain.name} ${chain.hook}`);
    });
    ask(GET_RULE, (bytes, start, end) => {
      const rule = readRule(bytes, start, end);
      if (rule.table !== name) return;
      lines.push(`rule ${rule.chain} ${rule.text}`);
      counts.set(rule.chain, [...(counts.get(rule.chain) ?? []), ...rule.counts]);
    });
    return { fingerprint: lines.join("\n"), counts };
  } catch (error) {
    if (error instanceof libc.KernelError && error.code === "ENOENT") return { fingerprint: "", counts: new Map() };
    throw error;
  } finally {
    socket.close();
  }
}

/** A chain of a dump. Exported for the fuzz target. */
export function readChain(bytes: Buffer, start: number, end: number): { table: string; name: string; hook: string } {
  const chain = { table: "", name: "", hook: "" };
  const attribute = new AttributeCursor().over(bytes, start, end);
  while (attribute.next()) {
    const { type, offset, length } = attribute;
    if (type === 1) chain.table = textAt(bytes, offset, length);
    else if (type === 3) chain.name = textAt(bytes, offset, length);
    // The hook, and the policy: accept, or packets end here.
    else if (type === 4 || type === 5) chain.hook += `${type}:${bytes.toString("hex", offset, offset + length)} `;
  }
  return chain;
}

/** A rule of a dump. Exported for the fuzz target. */
export function readRule(
  bytes: Buffer,
  start: number,
  end: number,
): { table: string; chain: string; text: string; counts: number[] } {
  const rule = { table: "", chain: "", text: "", counts: [] as number[] };
  const attribute = new AttributeCursor().over(bytes, start, end);
  while (attribute.next()) {
    const { type, offset, length } = attribute;
    if (type === 1) rule.table = textAt(bytes, offset, length);
    else if (type === 2) rule.chain = textAt(bytes, offset, length);
    else if (type === 4) readExpressions(bytes, offset, offset + length, rule);
  }
  return rule;
}

function readExpressions(bytes: Buffer, start: number, end: number, rule: { text: string; counts: number[] }): void {
  const element = new AttributeCursor().over(bytes, start, end);
  const part = new AttributeCursor();
  while (element.next()) {
    let name = "";
    part.over(bytes, element.offset, element.offset + element.length);
    while (part.next()) {
      if (part.type === 1) rule.text += `${(name = textAt(bytes, part.offset, part.length))} `;
      else if (name === "counter") rule.counts.push(readCounter(bytes, part.offset, part.offset + part.length));
      else rule.text += `${bytes.toString("hex", part.offset, part.offset + part.length)} `;
    }
  }
}

function readCounter(bytes: Buffer, start: number, end: number): number {
  const field = new AttributeCursor().over(bytes, start, end);
  while (field.next()) if (field.type === 2 && field.length >= 8) return Number(bytes.readBigUInt64BE(field.offset));
  return 0;
}

function textAt(bytes: Buffer, offset: number, length: number): string {
  const text = bytes.toString("latin1", offset, offset + length);
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}
