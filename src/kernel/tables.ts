/**
 * Removes an iptables table that nobody uses any more. The iptables tools can empty a table of the nf_tables back end but
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
const DELETE_CHAIN = netfilterType(SUBSYSTEM, 5);
const NFPROTO: Record<4 | 6, number> = { 4: 2, 6: 10 };
const builtIn = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/**
 * Removes the table's empty built-in chains and then the table. Nothing that holds a rule is removed (NLM_F_NONREC): a
 * rule added by somebody else at the last moment keeps its chain and table. Throws KernelError for other refusals.
 */
export function deleteEmptyTable(family: 4 | 6, table: string): void {
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    for (const chain of builtIn) {
      remove(socket, DELETE_CHAIN, family, (writer) => writer.text(1, table).text(3, chain));
    }
    remove(socket, DELETE_TABLE, family, (writer) => writer.text(1, table));
  } finally {
    socket.close();
  }
}

/** One transaction with one deletion. What is not there, or is in use, stays. */
function remove(socket: NetlinkSocket, type: number, family: 4 | 6, fill: (writer: MessageWriter) => void): void {
  const writer = new MessageWriter(512);
  const sequence = socket.sequence();
  writer.begin(BATCH_BEGIN, NLM_F_REQUEST, 0, 0, SUBSYSTEM).end();
  writer.begin(type, NLM_F_REQUEST | NLM_F_ACK | NLM_F_NONREC, sequence, NFPROTO[family]);
  fill(writer);
  writer.end();
  writer.begin(BATCH_END, NLM_F_REQUEST, 0, 0, SUBSYSTEM).end();
  try {
    socket.request("nf_tables delete", writer, sequence);
  } catch (error) {
    if (!(error instanceof libc.KernelError) || (error.code !== "ENOENT" && error.code !== "EBUSY")) throw error;
  }
}
