/**
 * Rules that the gateway's ruleset (`rules.ts`) and the machine's (`rules-machine.ts`) have in common: matches on the mark,
 * what is let through without a question, how a packet is queued, and how a verdict is saved. Pure text.
 */
import { SallyportError } from "../errors.ts";
import { bareAck, shortHeader } from "./bpf.ts";
import { ALLOW, ALLOWED_MASK, BACK, BROADCAST, DENY, DNS, INVALID, LOCAL, OUR_BITS, PENDING } from "./mark.ts";
import { QUIC, STATE_MASK } from "./mark.ts";
import { askRateRules } from "./rates.ts";

export type Table = "filter" | "nat" | "mangle";

/** The prefix of every chain we own. */
export const chainPrefix = "SALLYPORT-";

/** One table's share: our chains with their rules, and the jumps at the head of the built-in chains. */
export interface TableRules {
  table: Table;
  /** Chain name to rules, each without `-A CHAIN`. */
  chains: ReadonlyMap<string, readonly string[]>;
  /** Built-in chain to rules for its head, in order, each without `-A CHAIN`. */
  jumps: ReadonlyMap<string, readonly string[]>;
}

/** Which NFQUEUEs packets are spread over. */
export interface Queues {
  /** The first NFQUEUE number, and how many queues packets are spread over (by address pair). */
  queueBase: number;
  queueCount: number;
}

/** What the kernel may let through unread, where it can. */
export interface Unread {
  /** Let the kernel pass bare ACKs of pending flows (it needs the bpf match); else each goes to user space. */
  passBareAcks?: boolean;
  /** The same for the datagrams of QUIC flows that begin no connection. */
  passQuicData?: boolean;
}

export const hex = (value: number) => `0x${(value >>> 0).toString(16)}`;
export const marked = (state: number) => `-m mark --mark ${hex(state)}/${hex(STATE_MASK)}`;
export const connmarked = (state: number) => `-m connmark --mark ${hex(state)}/${hex(STATE_MASK)}`;
/** ALLOW or QUIC. */
export const allowed = `-m mark --mark ${hex(ALLOW)}/${hex(ALLOWED_MASK)}`;
export const connallowed = `-m connmark --mark ${hex(ALLOW)}/${hex(ALLOWED_MASK)}`;
export const setState = (state: number) => `-j MARK --set-xmark ${hex(state)}/${hex(STATE_MASK)}`;
export const setFlag = (flag: number) => `-j MARK --set-xmark ${hex(flag)}/${hex(flag)}`;
export const SYN = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN";
export const SYN_ACK = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN,ACK";
export const CLEAR = `-j MARK --set-xmark 0x0/${hex(OUR_BITS)}`;

export const icmpOf = (family: 4 | 6) => (family === 4 ? "-p icmp" : "-p ipv6-icmp");

/** Throws SallyportError USAGE for names that iptables would not take for the name of one interface, or for the same twice. */
export function checkInterfaceNames(names: readonly string[]): void {
  for (const name of names) {
    // A trailing `+` is a wildcard to iptables; white space and quotes would end the argument.
    if (!/^[A-Za-z0-9_.@:-]{1,15}$/.test(name)) {
      throw new SallyportError("USAGE", `Not an interface name: ${JSON.stringify(name)}.`, { interface: name });
    }
  }
  if (new Set(names).size !== names.length) {
    throw new SallyportError("USAGE", `An interface is named twice: ${names.join(", ")}.`);
  }
}

/** Throws SallyportError USAGE for queues or ports that do not exist. */
export function checkNumbers({ queueBase, queueCount }: Queues, ports: readonly number[]): void {
  const last = queueBase + queueCount - 1;
  if (!whole(queueBase, 0, 65535) || !whole(queueCount, 1, 65536) || last > 65535) {
    throw new SallyportError("USAGE", `No such queues: ${queueCount} from ${queueBase}.`);
  }
  for (const port of ports) {
    if (!whole(port, 1, 65535)) throw new SallyportError("USAGE", `No such port: ${port}.`);
  }
}

function whole(value: number, low: number, high: number): boolean {
  return Number.isInteger(value) && value >= low && value <= high;
}

/** The target that hands a packet to user space. No `--queue-bypass`: without a listener the packet is dropped. */
export function queueTarget({ queueBase, queueCount }: Queues): string {
  return queueCount === 1
    ? `-j NFQUEUE --queue-num ${queueBase}`
    : `-j NFQUEUE --queue-balance ${queueBase}:${queueBase + queueCount - 1}`;
}

/** Marks questions to port 53 of any server. */
export const markDns = ["udp", "tcp"].map((protocol) => `-p ${protocol} -m ${protocol} --dport 53 ${setState(DNS)}`);

/** nat: where they end. */
export function redirectDns(port: number): string[] {
  return ["udp", "tcp"].map((protocol) => `-p ${protocol} ${marked(DNS)} -j REDIRECT --to-ports ${port}`);
}

/**
 * Packets of flows that have their verdict: they get its state and return. A SYN is asked about whatever its flow's mark
 * says, so that a reused port pair never inherits a verdict. `more` stands before the end.
 */
export function decided(family: 4 | 6, options: Unread, more: readonly string[] = []): string[] {
  // Type 3 code 4 (RFC 1191) and type 2 (RFC 8201). An ICMP error quotes as much as the sender likes; one for path MTU
  // discovery need not be large, and a large one is a message to the far end.
  const tooBig = family === 4 ? "-m icmp --icmp-type 3/4" : "-m icmp6 --icmpv6-type 2";
  return [
    `${SYN} -g SALLYPORT-ASK`,
    `${connmarked(ALLOW)} -m conntrack --ctstate NEW,ESTABLISHED ${setState(ALLOW)}`,
    `${icmpOf(family)} ${tooBig} -m length --length 0:1280 -m conntrack --ctstate RELATED ${connallowed} ${setState(ALLOW)}`,
    ...more,
    ...(options.passQuicData === true ? quicData(family) : []),
    `${allowed} -j RETURN`,
    ...(options.passBareAcks === true ? bareAcks(family) : []),
    "-g SALLYPORT-ASK",
  ];
}

/** SALLYPORT-ASK: what user space cannot see goes into the mark, and the packet into the queue. */
export function askChain(family: 4 | 6, queues: Queues): string[] {
  const manyReceivers = family === 4 ? "BROADCAST,MULTICAST,ANYCAST" : "MULTICAST,ANYCAST";
  return [
    `-m addrtype --dst-type LOCAL ${setFlag(LOCAL)}`,
    `-m addrtype --dst-type ${manyReceivers} ${setFlag(BROADCAST)}`,
    `-m conntrack --ctstate INVALID,UNTRACKED ${setFlag(INVALID)}`,
    closedPort(family),
    `${connmarked(PENDING)} ${setState(PENDING)}`,
    `${connmarked(DENY)} ${setState(DENY)}`,
    `${connmarked(QUIC)} ${setState(QUIC)}`,
    ...askRateRules(family, queues.queueCount),
    queueTarget(queues),
  ];
}

/** SALLYPORT-SAVE and the like: what has one of the states goes on, and its flow with it; all else is dropped. */
export function saveChain(states: readonly number[]): string[] {
  return [
    `${marked(ALLOW)} ${connmarked(ALLOW)} -j RETURN`,
    ...overtaken(),
    ...states.map((state) => `${marked(state)} -g SALLYPORT-KEEP`),
    "-j DROP",
  ];
}

/** SALLYPORT-KEEP: ICMP errors never change their flow's mark. */
export function keepChain(family: 4 | 6): string[] {
  return [
    `${icmpOf(family)} -m conntrack --ctstate RELATED -j RETURN`,
    `-j CONNMARK --save-mark --nfmask ${hex(STATE_MASK)} --ctmask ${hex(STATE_MASK)}`,
  ];
}

/** TCP of refused flows coming back: user space resets both ends. */
export function refusedBack(queue: string): string[] {
  return [`-p tcp ${connmarked(DENY)} ${setFlag(BACK)}`, `-p tcp ${connmarked(DENY)} ${queue}`];
}

/** filter: the answers to what was refused. */
export function refuse(family: 4 | 6): string[] {
  const prohibited = family === 4 ? "icmp-admin-prohibited" : "icmp6-adm-prohibited";
  return [
    `-p tcp ${marked(DENY)} -j REJECT --reject-with tcp-reset`,
    `${marked(DENY)} -j REJECT --reject-with ${prohibited}`,
    "-j DROP",
  ];
}

export const closedReject = (family: 4 | 6) => (family === 4 ? "icmp-port-unreachable" : "icmp6-port-unreachable");

/**
 * Packets whose flow got its verdict while they were on their way from the queue, on another processor: they must not put
 * the mark back. A pending one goes on and writes nothing, and one let through of a connection that was ended since is
 * dropped. A SYN begins anew, so its state always counts; datagrams of a refused flow may be allowed by a later policy. What
 * is refused on a QUIC flow is a connection of several: it is answered, and the flow's mark stays.
 */
function overtaken(): string[] {
  const later = "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN";
  return [
    `${marked(PENDING)} ${connmarked(PENDING)} -j RETURN`,
    `${later} ${marked(PENDING)} ${connmarked(ALLOW)} -j RETURN`,
    `${later} ${marked(ALLOW)} ${connmarked(DENY)} -j DROP`,
    ...[QUIC, PENDING, DENY].map((state) => `-p udp ${marked(state)} ${connmarked(QUIC)} -j RETURN`),
  ];
}

/**
 * The server's answer to a pending flow's SYN. The number it begins with is what a client must acknowledge beyond, to prove
 * that the server has read the bytes that were judged; a raw socket could otherwise make that number up.
 */
export function answers(queue: string): string[] {
  return [
    `${SYN_ACK} ${connmarked(PENDING)} -j MARK --set-xmark ${hex(PENDING | BACK)}/${hex(OUR_BITS)}`,
    `${SYN_ACK} ${connmarked(PENDING)} ${queue}`,
  ];
}

/** A pending flow's segments that carry nothing but an acknowledgement: user space would pass them unread. */
function bareAcks(family: 4 | 6): string[] {
  return [
    `-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK,URG ACK ${connmarked(PENDING)} -m conntrack --ctstate ESTABLISHED ` +
      `${bareAck(family)} ${setState(PENDING)}`,
    `${marked(PENDING)} -j RETURN`,
  ];
}

/** A QUIC flow's datagrams that begin no connection. */
function quicData(family: 4 | 6): string[] {
  return [`-p udp ${connmarked(QUIC)} -m conntrack --ctstate NEW,ESTABLISHED ${shortHeader(family)} ${setState(QUIC)}`];
}

/**
 * "Port unreachable" of a client about its own allowed UDP flow: an answer came after its socket was closed, and its kernel
 * says so (RFC 1122 section 4.1.3.1). That is nobody's attempt to get out, but what it quotes is the client's to choose, so it
 * is user space's to decide whether it may pass. Larger ones than a kernel makes (RFC 1812 section 4.3.2.3, RFC 4443 section
 * 2.4) are not told apart from any other ICMP.
 */
function closedPort(family: 4 | 6): string {
  const [type, largest] =
    family === 4 ? ["-p icmp -m icmp --icmp-type 3/3", 576] : ["-p ipv6-icmp -m icmp6 --icmpv6-type 1/4", 1280];
  const about = `-m conntrack --ctstate RELATED --ctproto 17 ${connallowed}`;
  return `${type} -m length --length 0:${largest} ${about} ${setState(ALLOW)}`;
}
