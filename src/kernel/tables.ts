/**
 * Removes iptables tables that nobody uses any more. The iptables tools can empty a table of the nf_tables back end but
 * not remove it, so this asks nf_tables itself. Called by `ruleset.ts`, for tables that we made.
 */
import * as libc from "./libc.ts";
import {
  MessageWriter,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NLM_F_ACK,
  NLM_F_NONREC,
  NLM_F_REQUEST,
  netfilterType,
} from "./netlink.ts";

const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const DELETE_TABLE = netfilterType(SUBSYSTEM, 2);
const GET_CHAIN = netfilterType(SUBSYSTEM, 4);
const DELETE_CHAIN = netfilterType(SUBSYSTEM, 5);
const NFPROTO: Record<4 | 6, number> = { 4: 2, 6: 10 };

const builtIn = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/** A table with nothing in it but built-in chains. */
export interface EmptyTable {
  family: 4 | 6;
  table: string;
}

/**
 * Removes the tables with their built-in chains. Nothing that holds a rule is removed (NLM_F_NONREC): a table to which
 * somebody else added one at the last moment stays. Throws KernelError for other refusals.
 */
export function deleteEmptyTables(tables: readonly EmptyTable[]): void {
  if (tables.length === 0) return;
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    // A transaction costs the kernel a pause; all in one, or each by itself where one of them is in use after all.
    if (!remove(socket, tables)) for (const each of tables) remove(socket, [each]);
  } finally {
    socket.close();
  }
}

/** One transaction. False, and nothing changed, where something is not there or is in use. */
function remove(socket: NetlinkSocket, tables: readonly EmptyTable[]): boolean {
  const writer = new MessageWriter(8192);
  const chains = tables.map(({ family, table }) => builtIn.filter((chain) => exists(socket, family, table, chain)));
  const sequence = socket.sequence();
  writer.begin(BATCH_BEGIN, NLM_F_REQUEST, 0, 0, SUBSYSTEM).end();
  for (const [i, { family, table }] of tables.entries()) {
    for (const chain of chains[i]!) {
      writer.begin(DELETE_CHAIN, NLM_F_REQUEST | NLM_F_NONREC, sequence, NFPROTO[family]);
      writer.text(1, table).text(3, chain).end();
    }
    // The kernel tells of every failure; of success the last one does.
    const acknowledge = i === tables.length - 1 ? NLM_F_ACK : 0;
    writer.begin(DELETE_TABLE, NLM_F_REQUEST | NLM_F_NONREC | acknowledge, sequence, NFPROTO[family]);
    writer.text(1, table).end();
  }
  writer.begin(BATCH_END, NLM_F_REQUEST, 0, 0, SUBSYSTEM).end();
  try {
    socket.request("nf_tables delete", writer, sequence);
    return true;
  } catch (error) {
    if (!(error instanceof libc.KernelError) || (error.code !== "ENOENT" && error.code !== "EBUSY")) throw error;
    return false;
  }
}

/** iptables-save shows every built-in chain of a table, also those that nobody has made. */
function exists(socket: NetlinkSocket, family: 4 | 6, table: string, chain: string): boolean {
  const writer = new MessageWriter(512);
  const sequence = socket.sequence();
  writer
    .begin(GET_CHAIN, NLM_F_REQUEST | NLM_F_ACK, sequence, NFPROTO[family])
    .text(1, table)
    .text(3, chain)
    .end();
  try {
    socket.request("nf_tables chain", writer, sequence);
    return true;
  } catch (error) {
    if (error instanceof libc.KernelError && error.code === "ENOENT") return false;
    throw error;
  }
}
