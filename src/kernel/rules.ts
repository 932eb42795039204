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
import { ALLOW, DENY, DNS, FORGED, PENDING, QUIC, STATE_MASK } from "./mark.ts";
import { dnsRateRules, forgedSource, rateChains } from "./rates.ts";
import {
  allowed,
  answers,
  askChain,
  checkInterfaceNames,
  checkNumbers,
  CLEAR,
  closedReject,
  connallowed,
  connmarked,
  decided,
  hex,
  icmpOf,
  keepChain,
  markDns,
  marked,
  queueTarget,
  redirectDns,
  refuse,
  refusedBack,
  saveChain,
  setFlag,
  setState,
  type Queues,
  type TableRules,
  type Unread,
} from "./rule-parts.ts";

export interface RulesetOptions extends Queues, Unread {
  /** Interfaces behind which the policed machines are. */
  inside: readonly string[];
  /** The interface to the outside, used for masquerading; null: every interface that is not inside. */
  outside: string | null;
  /** The port of our DNS firewall on this host, UDP and TCP. */
  dnsPort: number;
  /** Whether allowed traffic leaves with this host's address. */
  masquerade: boolean;
  /** Show user space the SYN+ACK of each pending flow; the flow engine must then be told that it sees them. */
  askAnswers?: boolean;
}

/** Throws SallyportError USAGE where the options make no ruleset. */
export function checkOptions(options: RulesetOptions): void {
  const names = [...options.inside, ...(options.outside === null ? [] : [options.outside])];
  if (options.inside.length === 0) throw new SallyportError("USAGE", "Name at least one inside interface.");
  checkInterfaceNames(names);
  checkNumbers(options, [options.dnsPort]);
}

/** The ruleset of one family, in commit order. */
export function rulesFor(family: 4 | 6, options: RulesetOptions): TableRules[] {
  checkOptions(options);
  return [filterRules(family, options), natRules(options), mangleRules(family, options)];
}

function mangleRules(family: 4 | 6, options: RulesetOptions): TableRules {
  const queue = queueTarget(options);
  const ownReply = "-m conntrack --ctstate ESTABLISHED --ctdir REPLY";
  const chains = new Map<string, string[]>();
  chains.set("SALLYPORT-PRE", [
    CLEAR,
    ...forgedSources(family),
    ...(family === 6 ? [`${icmpOf(family)} -j SALLYPORT-ND`, `${marked(ALLOW)} -j RETURN`] : []),
    ...markDns,
    ...dnsRateRules,
    `${marked(DNS)} -j RETURN`,
    ...decided(family, options, [`${ownReply} ${connmarked(0)} -m addrtype --dst-type LOCAL ${setState(ALLOW)}`]),
  ]);
  if (family === 6) chains.set("SALLYPORT-ND", neighbourDiscovery());
  chains.set("SALLYPORT-ASK", askChain(family, options));
  const { queueCount, inside } = options;
  for (const [chain, rules] of rateChains(family, queueCount, inside, forgedSource)) chains.set(chain, rules);
  chains.set("SALLYPORT-SAVE", saveChain([ALLOW, QUIC, PENDING, DENY]));
  chains.set("SALLYPORT-LOCAL", saveChain([ALLOW, QUIC, PENDING, DENY, DNS]));
  chains.set("SALLYPORT-KEEP", keepChain(family));
  chains.set("SALLYPORT-BACK", [
    ...options.inside.map((name) => `-i ${name} -j RETURN`),
    CLEAR,
    ...(options.askAnswers === true ? answers(queue) : []),
    ...refusedBack(queue),
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
 * Strict reverse path filtering: on each inside interface, only what the routes say is behind it. A client that has no
 * address yet (DHCP) is nobody's neighbour; IPv6's unspecified source passes the match by itself.
 */
function forgedSources(family: 4 | 6): string[] {
  const source = family === 4 ? "! -s 0.0.0.0/32 " : "";
  return [
    `${source}${forgedSource} ${setFlag(FORGED)}`,
    `-m mark --mark ${hex(FORGED)}/${hex(FORGED)} -g SALLYPORT-ASK`,
  ];
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

function natRules(options: RulesetOptions): TableRules {
  const chains = new Map([["SALLYPORT-DNS", redirectDns(options.dnsPort)]]);
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
  const unrefused = `-m mark ! --mark ${hex(DENY)}/${hex(STATE_MASK)}`;
  const accept = [`${allowed} -j ACCEPT`, `${marked(PENDING)} -j ACCEPT`];
  const belongs = "-m conntrack --ctstate RELATED,ESTABLISHED";
  const chains = new Map([
    ["SALLYPORT-FORWARD", [...accept, ...refuse(family)]],
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
        `-p udp -m udp --dport ${options.dnsPort} ${unrefused} -j REJECT --reject-with ${closedReject(family)}`,
        ...accept,
        ...refuse(family),
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
