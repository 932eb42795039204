/**
 * The text of the ruleset: what iptables-restore is fed, as a function of the interfaces, queues and port. Static, short
 * and free of policy; the policy is in user space and in the marks. Pure; called by `ruleset.ts`.
 *
 * A packet from the inside walks it like this (`mark` is the packet's, `connmark` its flow's; see `mark.ts`):
 *
 * 1. mangle PREROUTING, SALLYPORT-PRE. The mark's our-bits are cleared: what a sender or another rule put there counts
 *    for nothing. A packet whose source is not reached by its interface (RFC 3704) goes to SALLYPORT-ASK with that fact, DNS or
 *    not: it would be judged by the rules of a neighbour. Neighbour discovery to this link is allowed (SALLYPORT-ND, IPv6), port 53 gets state DNS. A SYN goes to
 *    SALLYPORT-ASK whatever its flow's mark says, so that a reused port pair never inherits a verdict. Packets of allowed
 *    flows get state ALLOW and leave; ICMP errors are not packets of their flow and do not, except for the small ones
 *    that path MTU discovery needs. So do datagrams of flows in state QUIC that begin no connection; the others are asked
 *    about. Bare ACKs of pending flows stay pending (where the kernel has the bpf match). Answers to connections this
 *    host itself opened are allowed. All else goes to SALLYPORT-ASK, which tells user space what it
 *    cannot see (LOCAL, BROADCAST, INVALID, and the flow's state so far; ALLOW only of an ICMP error
 *    about such a flow) and queues the packet, unless
 *    its source sends more than one may (`rates.ts`). No `--queue-bypass`: without a listener the packet is dropped.
 *    User space accepts with a mark of state PENDING, ALLOW, QUIC or DENY; the packet goes on with the next *hook*.
 * 2. nat PREROUTING, SALLYPORT-DNS. State DNS is redirected to our DNS firewall, whatever server it was sent to.
 * 3. mangle FORWARD, SALLYPORT-SAVE, or mangle INPUT, SALLYPORT-LOCAL. The state is saved as the flow's connmark
 *    (SALLYPORT-KEEP), unless the flow got its verdict meanwhile, or a datagram of a QUIC flow is refused by itself. A packet without a state is dropped here, wherever a
 *    later rule would accept it; so is DNS that is about to be forwarded.
 * 4. filter FORWARD, SALLYPORT-FORWARD, or filter INPUT, SALLYPORT-INPUT. ALLOW, QUIC and PENDING are accepted, DENY is
 *    answered (RST, or ICMP administratively prohibited) and the rest dropped: no later rule sees it.
 * 5. mangle POSTROUTING, SALLYPORT-POST. DENY is dropped, should anything before have accepted it.
 * 6. nat POSTROUTING, SALLYPORT-OUT (with `masquerade`). The source becomes this host's.
 *
 * A packet from elsewhere to the inside: mangle FORWARD, SALLYPORT-BACK clears our-bits and queues TCP of denied flows, so that
 * user space can reset both ends, and the SYN+ACK of pending ones, whose number user space needs; filter FORWARD, SALLYPORT-RETURN accepts what belongs to an allowed or pending
 * flow and drops the rest. Packets this host itself sends are not touched. ICMP errors never change their flow's mark.
 *
 * The ruleset owns the top eight bits of the packet mark and the top four of the connection mark on this host.
 */
import { SallyportError } from "../errors.ts";
import { bareAck, shortHeader } from "./bpf.ts";
import { ALLOW, ALLOWED_MASK, BACK, BROADCAST, DENY, DNS, FORGED, INVALID, LOCAL, OUR_BITS, PENDING } from "./mark.ts";
import { QUIC, STATE_MASK } from "./mark.ts";
import { askRateRules, dnsRateRules, rateChains } from "./rates.ts";

export interface RulesetOptions {
  /** Interfaces behind which the policed machines are. */
  inside: readonly string[];
  /** The interface to the outside, used for masquerading; null: every interface that is not inside. */
  outside: string | null;
  /** The first NFQUEUE number, and how many queues packets are spread over (by address pair). */
  queueBase: number;
  queueCount: number;
  /** The port of our DNS firewall on this host, UDP and TCP. */
  dnsPort: number;
  /** Whether allowed traffic leaves with this host's address. */
  masquerade: boolean;
  /** Let the kernel pass bare ACKs of pending flows (it needs the bpf match); else each goes to user space. */
  passBareAcks?: boolean;
  /** The same for the datagrams of QUIC flows that begin no connection. */
  passQuicData?: boolean;
  /** Show user space the SYN+ACK of each pending flow; the flow engine must then be told that it sees them. */
  askAnswers?: boolean;
}

export type Table = "filter" | "nat" | "mangle";

/** The order in which tables are committed: `filter` first, so that what comes from the inside is dropped until done. */
export const tables: readonly Table[] = ["filter", "nat", "mangle"];

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

const hex = (value: number) => `0x${(value >>> 0).toString(16)}`;
const marked = (state: number) => `-m mark --mark ${hex(state)}/${hex(STATE_MASK)}`;
const connmarked = (state: number) => `-m connmark --mark ${hex(state)}/${hex(STATE_MASK)}`;
/** ALLOW or QUIC. */
const allowed = `-m mark --mark ${hex(ALLOW)}/${hex(ALLOWED_MASK)}`;
const connallowed = `-m connmark --mark ${hex(ALLOW)}/${hex(ALLOWED_MASK)}`;
const setState = (state: number) => `-j MARK --set-xmark ${hex(state)}/${hex(STATE_MASK)}`;
const setFlag = (flag: number) => `-j MARK --set-xmark ${hex(flag)}/${hex(flag)}`;
const SYN = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN";
const SYN_ACK = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN,ACK";
const CLEAR = `-j MARK --set-xmark 0x0/${hex(OUR_BITS)}`;

/** Throws SallyportError USAGE where the options make no ruleset. */
export function checkOptions(options: RulesetOptions): void {
  const names = [...options.inside, ...(options.outside === null ? [] : [options.outside])];
  if (options.inside.length === 0) throw new SallyportError("USAGE", "Name at least one inside interface.");
  for (const name of names) {
    // A trailing `+` is a wildcard to iptables; white space and quotes would end the argument.
    if (!/^[A-Za-z0-9_.@:-]{1,15}$/.test(name)) {
      throw new SallyportError("USAGE", `Not an interface name: ${JSON.stringify(name)}.`, { interface: name });
    }
  }
  if (new Set(names).size !== names.length) {
    throw new SallyportError("USAGE", `An interface is named twice: ${names.join(", ")}.`);
  }
  const last = options.queueBase + options.queueCount - 1;
  if (!whole(options.queueBase, 0, 65535) || !whole(options.queueCount, 1, 65536) || last > 65535) {
    throw new SallyportError("USAGE", `No such queues: ${options.queueCount} from ${options.queueBase}.`);
  }
  if (!whole(options.dnsPort, 1, 65535)) throw new SallyportError("USAGE", `No such port: ${options.dnsPort}.`);
}

function whole(value: number, low: number, high: number): boolean {
  return Number.isInteger(value) && value >= low && value <= high;
}

/** The ruleset of one family, in commit order. */
export function rulesFor(family: 4 | 6, options: RulesetOptions): TableRules[] {
  checkOptions(options);
  return [filterRules(family, options), natRules(options), mangleRules(family, options)];
}

function mangleRules(family: 4 | 6, options: RulesetOptions): TableRules {
  const last = options.queueBase + options.queueCount - 1;
  const queue =
    options.queueCount === 1
      ? `-j NFQUEUE --queue-num ${options.queueBase}`
      : `-j NFQUEUE --queue-balance ${options.queueBase}:${last}`;
  const icmp = family === 4 ? "-p icmp" : "-p ipv6-icmp";
  // Type 3 code 4 (RFC 1191) and type 2 (RFC 8201). An ICMP error quotes as much as the sender likes; one for path MTU
  // discovery need not be large, and a large one is a message to the far end.
  const tooBig = family === 4 ? "-m icmp --icmp-type 3/4" : "-m icmp6 --icmpv6-type 2";
  const manyReceivers = family === 4 ? "BROADCAST,MULTICAST,ANYCAST" : "MULTICAST,ANYCAST";

  const chains = new Map<string, string[]>();
  chains.set("SALLYPORT-PRE", [
    CLEAR,
    ...forgedSources(family),
    ...(family === 6 ? [`${icmp} -j SALLYPORT-ND`, `${marked(ALLOW)} -j RETURN`] : []),
    `-p udp -m udp --dport 53 ${setState(DNS)}`,
    `-p tcp -m tcp --dport 53 ${setState(DNS)}`,
    ...dnsRateRules,
    `${marked(DNS)} -j RETURN`,
    `${SYN} -g SALLYPORT-ASK`,
    `${connmarked(ALLOW)} -m conntrack --ctstate NEW,ESTABLISHED ${setState(ALLOW)}`,
    `${icmp} ${tooBig} -m length --length 0:1280 -m conntrack --ctstate RELATED ${connallowed} ${setState(ALLOW)}`,
    `-m conntrack --ctstate ESTABLISHED --ctdir REPLY ${connmarked(0)} -m addrtype --dst-type LOCAL ${setState(ALLOW)}`,
    ...(options.passQuicData === true ? quicData(family) : []),
    `${allowed} -j RETURN`,
    ...(options.passBareAcks === true ? bareAcks(family) : []),
    "-g SALLYPORT-ASK",
  ]);
  if (family === 6) chains.set("SALLYPORT-ND", neighbourDiscovery());
  chains.set("SALLYPORT-ASK", [
    `-m addrtype --dst-type LOCAL ${setFlag(LOCAL)}`,
    `-m addrtype --dst-type ${manyReceivers} ${setFlag(BROADCAST)}`,
    `-m conntrack --ctstate INVALID,UNTRACKED ${setFlag(INVALID)}`,
    closedPort(family),
    `${connmarked(PENDING)} ${setState(PENDING)}`,
    `${connmarked(DENY)} ${setState(DENY)}`,
    `${connmarked(QUIC)} ${setState(QUIC)}`,
    ...askRateRules(family, options.queueCount),
    queue,
  ]);
  for (const [chain, rules] of rateChains(family, options.queueCount, options.inside)) chains.set(chain, rules);
  chains.set("SALLYPORT-SAVE", [
    `${marked(ALLOW)} ${connmarked(ALLOW)} -j RETURN`,
    ...overtaken(),
    ...[ALLOW, QUIC, PENDING, DENY].map((state) => `${marked(state)} -g SALLYPORT-KEEP`),
    "-j DROP",
  ]);
  chains.set("SALLYPORT-LOCAL", [
    `${marked(ALLOW)} ${connmarked(ALLOW)} -j RETURN`,
    ...overtaken(),
    ...[ALLOW, QUIC, PENDING, DENY, DNS].map((state) => `${marked(state)} -g SALLYPORT-KEEP`),
    "-j DROP",
  ]);
  chains.set("SALLYPORT-KEEP", [
    `${icmp} -m conntrack --ctstate RELATED -j RETURN`,
    `-j CONNMARK --save-mark --nfmask ${hex(STATE_MASK)} --ctmask ${hex(STATE_MASK)}`,
  ]);
  chains.set("SALLYPORT-BACK", [
    ...options.inside.map((name) => `-i ${name} -j RETURN`),
    CLEAR,
    ...(options.askAnswers === true ? answers(queue) : []),
    `-p tcp ${connmarked(DENY)} ${setFlag(BACK)}`,
    `-p tcp ${connmarked(DENY)} ${queue}`,
  ]);
  chains.set("SALLYPORT-POST", [`${marked(DENY)} -j DROP`]);

  const jumps = new Map([
    ["PREROUTING", options.inside.map((name) => `-i ${name} -j SALLYPORT-PRE`)],
    ["INPUT", options.inside.map((name) => `-i ${name} -j SALLYPORT-LOCAL`)],
    ["FORWARD", bothWays(options, "SALLYPORT-SAVE", "SALLYPORT-BACK")],
    ["POSTROUTING", ["-j SALLYPORT-POST"]],
  ]);
  return { table: "mangle", chains, jumps };
}

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
 * Strict reverse path filtering: on each inside interface, only what the routes say is behind it. A client that has no
 * address yet (DHCP) is nobody's neighbour; IPv6's unspecified source passes the match by itself.
 */
function forgedSources(family: 4 | 6): string[] {
  const source = family === 4 ? "! -s 0.0.0.0/32 " : "";
  return [
    `${source}-m rpfilter --invert ${setFlag(FORGED)}`,
    `-m mark --mark ${hex(FORGED)}/${hex(FORGED)} -g SALLYPORT-ASK`,
  ];
}

/**
 * The server's answer to a pending flow's SYN. The number it begins with is what a client must acknowledge beyond, to prove
 * that the server has read the bytes that were judged; a raw socket could otherwise make that number up.
 */
function answers(queue: string): string[] {
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
 * Router and neighbour solicitations and advertisements (RFC 4861) must work before any verdict. Hop limit 255 proves that
 * the sender is on the link, but not that the packet stays there: routers forward any type. So only towards the link.
 * Multicast listener reports (RFC 2710, RFC 3810) are noise that needs no verdict.
 */
function neighbourDiscovery(): string[] {
  const types = [133, 135, 136].map((type) => `-p ipv6-icmp -m icmp6 --icmpv6-type ${type} -m hl --hl-eq 255`);
  return [
    ...types.map((type) => `-d ff02::/16 ${type} ${setState(ALLOW)}`),
    ...types.map((type) => `${type} -m addrtype --dst-type LOCAL ${setState(ALLOW)}`),
    ...[130, 131, 132, 143].map((type) => `-p ipv6-icmp -m icmp6 --icmpv6-type ${type} -j DROP`),
  ];
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

function natRules(options: RulesetOptions): TableRules {
  const redirect = `-j REDIRECT --to-ports ${options.dnsPort}`;
  const chains = new Map([
    ["SALLYPORT-DNS", [`-p udp ${marked(DNS)} ${redirect}`, `-p tcp ${marked(DNS)} ${redirect}`]],
  ]);
  const jumps = new Map([["PREROUTING", options.inside.map((name) => `-i ${name} -j SALLYPORT-DNS`)]]);
  if (options.masquerade) {
    chains.set("SALLYPORT-OUT", [
      ...options.inside.map((name) => `-o ${name} -j RETURN`),
      `${allowed} -j MASQUERADE`,
      `${marked(PENDING)} -j MASQUERADE`,
    ]);
    jumps.set("POSTROUTING", [
      options.outside === null ? "-j SALLYPORT-OUT" : `-o ${options.outside} -j SALLYPORT-OUT`,
    ]);
  }
  return { table: "nat", chains, jumps };
}

function filterRules(family: 4 | 6, options: RulesetOptions): TableRules {
  const prohibited = family === 4 ? "icmp-admin-prohibited" : "icmp6-adm-prohibited";
  const closed = family === 4 ? "icmp-port-unreachable" : "icmp6-port-unreachable";
  const unrefused = `-m mark ! --mark ${hex(DENY)}/${hex(STATE_MASK)}`;
  const refuse = [
    `-p tcp ${marked(DENY)} -j REJECT --reject-with tcp-reset`,
    `${marked(DENY)} -j REJECT --reject-with ${prohibited}`,
    "-j DROP",
  ];
  const accept = [`${allowed} -j ACCEPT`, `${marked(PENDING)} -j ACCEPT`];
  const belongs = "-m conntrack --ctstate RELATED,ESTABLISHED";
  const chains = new Map([
    ["SALLYPORT-FORWARD", [...accept, ...refuse]],
    [
      "SALLYPORT-RETURN",
      [
        ...options.inside.map((name) => `-i ${name} -j RETURN`),
        // User space's answer to a packet that SALLYPORT-BACK queued.
        `-p tcp ${marked(DENY)} -j REJECT --reject-with tcp-reset`,
        `${connallowed} ${belongs} -j ACCEPT`,
        `${connmarked(PENDING)} ${belongs} -j ACCEPT`,
        "-j DROP",
      ],
    ],
    [
      "SALLYPORT-INPUT",
      [
        // Only what was really redirected. A packet sent straight to the DNS firewall's port is judged like any other; one that
        // may pass finds the port closed, as it would be without us.
        `${marked(DNS)} -m conntrack --ctstate DNAT --ctorigdstport 53 -j ACCEPT`,
        `-p tcp -m tcp --dport ${options.dnsPort} ${unrefused} -j REJECT --reject-with tcp-reset`,
        `-p udp -m udp --dport ${options.dnsPort} ${unrefused} -j REJECT --reject-with ${closed}`,
        ...accept,
        ...refuse,
      ],
    ],
  ]);
  const jumps = new Map([
    ["INPUT", options.inside.map((name) => `-i ${name} -j SALLYPORT-INPUT`)],
    ["FORWARD", bothWays(options, "SALLYPORT-FORWARD", "SALLYPORT-RETURN")],
  ]);
  return { table: "filter", chains, jumps };
}

function bothWays(options: RulesetOptions, from: string, to: string): string[] {
  return [
    ...options.inside.map((name) => `-i ${name} -j ${from}`),
    ...options.inside.map((name) => `-o ${name} -j ${to}`),
  ];
}
