/**
 * How many packets met each rule of one chain, asked of nf_tables itself: iptables-save would be a process for each look.
 * Acts on the network namespace of the thread that opened it. Called by the enforcer.
 */
import {
  AttributeCursor,
  MessageWriter,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  netfilterType,
  NFGEN_HEADER,
} from "./netlink.ts";

const SUBSYSTEM = 10;
const NEW_RULE = netfilterType(SUBSYSTEM, 6);
const GET_RULE = netfilterType(SUBSYSTEM, 7);
const RULE_TABLE = 1;
const RULE_CHAIN = 2;
const RULE_EXPRESSIONS = 4;
const EXPRESSION_NAME = 1;
const EXPRESSION_DATA = 2;
const COUNTER_PACKETS = 2;
const protocols = { 4: 2, 6: 10 } as const;

export class RuleCounters {
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);
  readonly #writer = new MessageWriter(256);

  /** Packets by rule, in the chain's order; a rule without a counter has 0. Empty where there is no such chain. */
  read(family: 4 | 6, table: string, chain: string): number[] {
    const sequence = this.#socket.sequence();
    this.#writer
      .reset()
      .begin(GET_RULE, NLM_F_REQUEST | NLM_F_DUMP, sequence, protocols[family])
      .text(RULE_TABLE, table)
      .text(RULE_CHAIN, chain)
      .end();
    const counts: number[] = [];
    this.#socket.request("nf_tables rules", this.#writer, sequence, (bytes, message) => {
      if (message.type !== NEW_RULE) return;
      const rule = readRule(bytes, message.start + NFGEN_HEADER, message.end);
      // Kernels that do not filter a dump by chain send them all.
      if (rule.table === table && rule.chain === chain) counts.push(rule.packets);
    });
    return counts;
  }

  close(): void {
    this.#socket.close();
  }
}

function readRule(bytes: Buffer, start: number, end: number): { table: string; chain: string; packets: number } {
  const rule = { table: "", chain: "", packets: 0 };
  const attribute = new AttributeCursor().over(bytes, start, end);
  while (attribute.next()) {
    const { type, offset, length } = attribute;
    if (type === RULE_TABLE) rule.table = textAt(bytes, offset, length);
    else if (type === RULE_CHAIN) rule.chain = textAt(bytes, offset, length);
    else if (type === RULE_EXPRESSIONS) rule.packets = counted(bytes, offset, offset + length);
  }
  return rule;
}

/** What the counter among a rule's expressions says. */
function counted(bytes: Buffer, start: number, end: number): number {
  const element = new AttributeCursor().over(bytes, start, end);
  const part = new AttributeCursor();
  const field = new AttributeCursor();
  while (element.next()) {
    let name = "";
    part.over(bytes, element.offset, element.offset + element.length);
    while (part.next()) {
      if (part.type === EXPRESSION_NAME) name = textAt(bytes, part.offset, part.length);
      if (part.type !== EXPRESSION_DATA || name !== "counter") continue;
      field.over(bytes, part.offset, part.offset + part.length);
      while (field.next()) {
        if (field.type === COUNTER_PACKETS && field.length >= 8) return Number(bytes.readBigUInt64BE(field.offset));
      }
    }
  }
  return 0;
}

function textAt(bytes: Buffer, offset: number, length: number): string {
  const text = bytes.toString("latin1", offset, offset + length);
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}
