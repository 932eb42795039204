/**
 * The number of nf_tables' generation (nft(8), `NFT_MSG_GETGEN`): it changes with every change of any rule in the network namespace. Who
 * has read the rules once need not start a tool to hear that they are the same: forking a process as large as ours stops this thread
 * for as long as the machine takes to find a turn for the child.
 */
import {
  AttributeCursor,
  MessageWriter,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NLM_F_ACK,
  NLM_F_REQUEST,
  netfilterType,
  NFGEN_HEADER,
} from "./netlink.ts";

const SUBSYSTEM = 10;
const NEW_GENERATION = netfilterType(SUBSYSTEM, 15);
const GET_GENERATION = netfilterType(SUBSYSTEM, 16);
const ID = 1;

/** Of the calling thread's namespace. Null where the kernel does not tell. */
export function rulesGeneration(): number | null {
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    const sequence = socket.sequence();
    const writer = new MessageWriter(64).begin(GET_GENERATION, NLM_F_REQUEST | NLM_F_ACK, sequence, 0).end();
    let generation: number | null = null;
    socket.request("nf_tables generation", writer, sequence, (bytes, message) => {
      if (message.type !== NEW_GENERATION) return;
      const attribute = new AttributeCursor().over(bytes, message.start + NFGEN_HEADER, message.end);
      while (attribute.next()) {
        if (attribute.type === ID && attribute.length >= 4) generation = bytes.readUInt32BE(attribute.offset);
      }
    });
    return generation;
  } catch {
    return null;
  } finally {
    socket.close();
  }
}
