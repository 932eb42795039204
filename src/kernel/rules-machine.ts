/**
 * The text of the ruleset around a whole machine, as `rules.ts` has the gateway's: what iptables-restore is fed. Static and free
 * of policy; it names no interface. Which device leaves the machine is told by four chains of nf_tables (`machine-hooks.ts`),
 * which alone can ask for a device's kind; they run just before the rules here and say it in the mark. Pure; called by
 * `machine-ruleset.ts`.
 *
 * A packet that a process here sends walks like this:
 *
 * 1. hooks, output. The mark's our-bits are cleared (SO_MARK decides nothing). State KERNEL where no process sent it (ICMP, IGMP), state
 *    INSIDE where its device stays in the machine.
 * 2. mangle OUTPUT, SALLYPORT-OUT. What our own process sends (its cgroup, which only root can join) is OWN and is not looked at.
 *    Port 53 gets state DNS, on the loopback too. The rest of loopback, and what stays inside, returns. What is left leaves:
 *    SALLYPORT-LEAVE. Neighbour discovery and group membership of the kernel's own go on; replies to connections from outside
 *    (INBOUND) too; the rest is decided as at a gateway: by the flow's mark, or in SALLYPORT-ASK by user space.
 * 3. nat OUTPUT, SALLYPORT-DNS. State DNS is redirected to 127.0.0.1 or ::1, where our DNS firewall listens.
 * 4. filter OUTPUT, SALLYPORT-PASS. The verdict is saved in the flow's mark; DENY is answered; what passes *returns*, since the
 *    machine's own firewall has a say as well. DNS that was not redirected (its flow is older than we are) is dropped.
 * 5. hooks, end, after everything else. What leaves without one of our states is dropped; the rest gets the secret mark
 *    that each uplink's egress chain asks for.
 *
 * A packet of a container or another namespace comes in by PREROUTING. SALLYPORT-FROM flags a source that is not behind its
 * interface (RFC 3704) and sends DNS to the firewall's other port, on the addresses of this machine. mangle FORWARD, SALLYPORT-ROUTE:
 * what stays inside passes undecided, what leaves walks SALLYPORT-LEAVE, then filter FORWARD as above.
 *
 * A packet from outside: a new connection is marked INBOUND at PREROUTING, and nothing else happens to it. Answers to what was
 * opened from here pass mangle INPUT or FORWARD, SALLYPORT-BACK, as at a gateway: the SYN+ACK of a pending flow and TCP of a refused
 * one go to user space. INBOUND is only what an uplink brought: a process that forges a connection from outside to itself
 * does so inside, and its "replies" are decided.
 */
import { ALLOW, DENY, DNS, FORGED, INBOUND, INSIDE, KERNEL, OWN, PENDING, QUIC, STATE_MASK } from "./mark.ts";
import { dnsRateRules, forgedSource, rateChains } from "./rates.ts";
import {
  allowed,
  answers,
  askChain,
  checkNumbers,
  CLEAR,
  closedReject,
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
import { SallyportError } from "../errors.ts";

export interface MachineRulesOptions extends Queues, Unread {
  /** Our DNS firewall's port on the loopback, for processes; the next one is for containers, on every address. */
  dnsPort: number;
  /** The path of our own process's cgroup in the cgroup v2 hierarchy, without a slash in front. */
  cgroup: string;
  /** Whether the flow engine sees the SYN+ACK of each pending flow. */
  askAnswers?: boolean;
}

/** Throws SallyportError USAGE where the options make no ruleset. */
export function checkMachineOptions(options: MachineRulesOptions): void {
  checkNumbers(options, [options.dnsPort, options.dnsPort + 1]);
  if (!/^[A-Za-z0-9_.@-][A-Za-z0-9_.@/-]{0,500}$/.test(options.cgroup)) {
    throw new SallyportError("USAGE", `Not the path of a cgroup: ${JSON.stringify(options.cgroup)}.`);
  }
}

/** The ruleset of one family, in commit order. */
export function machineRulesFor(family: 4 | 6, options: MachineRulesOptions): TableRules[] {
  checkMachineOptions(options);
  return [filterRules(family, options), natRules(options), mangleRules(family, options)];
}

/** Marked by rules of PREROUTING, where alone the kernel can tell. */
const forgedFlag = `-m mark --mark ${hex(FORGED)}/${hex(FORGED)}`;
const forgedDns = `-m mark --mark ${hex((DNS | FORGED) >>> 0)}/${hex((STATE_MASK | FORGED) >>> 0)}`;

function mangleRules(family: 4 | 6, options: MachineRulesOptions): TableRules {
  const queue = queueTarget(options);
  const chains = new Map<string, readonly string[]>();
  const nobody = family === 4 ? "! -s 0.0.0.0/32 " : "";
  chains.set("SALLYPORT-PRE", [
    `${marked(INSIDE)} -g SALLYPORT-FROM`,
    `-m conntrack --ctstate NEW -j CONNMARK --set-xmark ${hex(INBOUND)}/${hex(STATE_MASK)}`,
  ]);
  chains.set("SALLYPORT-FROM", [
    "-i lo -j RETURN",
    `${nobody}${forgedSource} ${setFlag(FORGED)}`,
    ...markDns,
    `${forgedDns} -g SALLYPORT-ASK`,
    ...dnsRateRules,
  ]);
  chains.set("SALLYPORT-OUT", [
    `-m cgroup --path ${options.cgroup} ${setState(OWN)}`,
    `${marked(OWN)} -j RETURN`,
    ...markDns,
    ...dnsRateRules,
    `${marked(DNS)} -j RETURN`,
    "-o lo -j RETURN",
    `${marked(INSIDE)} -j RETURN`,
    "-g SALLYPORT-LEAVE",
  ]);
  chains.set("SALLYPORT-ROUTE", [`${marked(INSIDE)} -g SALLYPORT-BACK`, "-g SALLYPORT-LEAVE"]);
  chains.set("SALLYPORT-LEAVE", [...ofTheKernel(family), ...repliesToOutside(family), ...decided(family, options)]);
  chains.set("SALLYPORT-ASK", askChain(family, options));
  // One counter: by which interface the excess came says nothing here.
  for (const [chain, rules] of rateChains(family, options.queueCount, [], forgedFlag)) chains.set(chain, rules);
  chains.set("SALLYPORT-IN", [`${marked(INSIDE)} -j RETURN`, `${marked(DNS)} -j RETURN`, "-g SALLYPORT-BACK"]);
  chains.set("SALLYPORT-BACK", [
    CLEAR,
    ...(options.askAnswers === true ? answers(queue) : []),
    ...refusedBack(queue),
    `${connmarked(DENY)} -j DROP`,
  ]);
  const jumps = new Map([
    ["PREROUTING", ["-j SALLYPORT-PRE"]],
    ["INPUT", ["-j SALLYPORT-IN"]],
    ["FORWARD", ["-j SALLYPORT-ROUTE"]],
    ["OUTPUT", ["-j SALLYPORT-OUT"]],
  ]);
  return { table: "mangle", chains, jumps };
}

/**
 * What the kernel says by itself and must be able to say before any verdict. Neighbour discovery (RFC 4861) and multicast listener
 * reports (RFC 3810) have a sender that is no process, so a raw socket cannot pass for them: the type alone would be anybody's. The
 * kernel's ICMP errors are not among them: they quote whatever a packet with a forged source made them quote. A
 * DHCPv6 client asks by an ordinary socket (RFC 8415); its question stays on the link.
 */
function ofTheKernel(family: 4 | 6): string[] {
  const quiet =
    family === 4
      ? ["-p igmp"]
      : [130, 131, 132, 133, 135, 136, 143].map((type) => `-p ipv6-icmp -m icmp6 --icmpv6-type ${type}`);
  const dhcp = "-d ff02::1:2/128 -p udp -m udp --sport 546 --dport 547 -m length --length 0:600";
  return [
    ...quiet.map((match) => `${match} ${marked(KERNEL)} -j RETURN`),
    // The kernel's answer to a packet that a rule rejects, ours or the machine's own: it alone makes TCP that is related to a flow.
    ...[DENY, INBOUND].map(
      (state) =>
        `-p tcp -m tcp --tcp-flags RST RST -m conntrack --ctstate RELATED ${connmarked(state)} ${setState(KERNEL)}`,
    ),
    `-p tcp ${marked(KERNEL)} -j RETURN`,
    `${marked(KERNEL)} ${setState(0)}`,
    ...(family === 6 ? [`${dhcp} -m limit --limit 10/min --limit-burst 10 ${setState(KERNEL)}`] : []),
    ...(family === 6 ? [`-p udp ${marked(KERNEL)} -j RETURN`] : []),
  ];
}

/** Replies, and the errors that a kernel sends about them (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4: their greatest size). */
function repliesToOutside(family: 4 | 6): string[] {
  const largest = family === 4 ? 576 : 1280;
  const related = `-m length --length 0:${largest} -m conntrack --ctstate RELATED`;
  return [
    `-m conntrack --ctstate ESTABLISHED --ctdir REPLY ${connmarked(INBOUND)} ${setState(INBOUND)}`,
    `${icmpOf(family)} ${related} ${connmarked(INBOUND)} ${setState(INBOUND)}`,
    `${marked(INBOUND)} -j RETURN`,
  ];
}

function natRules(options: MachineRulesOptions): TableRules {
  const chains = new Map([
    ["SALLYPORT-DNS", redirectDns(options.dnsPort)],
    ["SALLYPORT-DNS2", redirectDns(options.dnsPort + 1)],
  ]);
  const jumps = new Map([
    ["OUTPUT", ["-j SALLYPORT-DNS"]],
    ["PREROUTING", ["-j SALLYPORT-DNS2"]],
  ]);
  return { table: "nat", chains, jumps };
}

function filterRules(family: 4 | 6, options: MachineRulesOptions): TableRules {
  const ports = `--dport ${options.dnsPort}:${options.dnsPort + 1}`;
  const chains = new Map([
    [
      "SALLYPORT-PASS",
      [
        "-o lo -j RETURN",
        // The device of this hook is the one from before the redirection.
        `${marked(DNS)} -m conntrack --ctstate DNAT -j RETURN`,
        ...[0, INSIDE, OWN, INBOUND, KERNEL].map((state) => `${marked(state)} -j RETURN`),
        "-j SALLYPORT-SAVE",
        `${allowed} -j RETURN`,
        `${marked(PENDING)} -j RETURN`,
        ...refuse(family),
      ],
    ],
    ["SALLYPORT-SAVE", saveChain([ALLOW, QUIC, PENDING, DENY])],
    ["SALLYPORT-KEEP", keepChain(family)],
    [
      "SALLYPORT-INPUT",
      [
        // User space's answer to a packet that SALLYPORT-BACK queued.
        `-p tcp ${marked(DENY)} -j REJECT --reject-with tcp-reset`,
        `${marked(DENY)} -j DROP`,
        // Only what was really redirected; the ports are closed to all else, as they would be without us.
        `-p tcp -m tcp ${ports} -m conntrack --ctstate DNAT --ctorigdstport 53 -j ACCEPT`,
        `-p udp -m udp ${ports} -m conntrack --ctstate DNAT --ctorigdstport 53 -j ACCEPT`,
        `-p tcp -m tcp ${ports} -j REJECT --reject-with tcp-reset`,
        `-p udp -m udp ${ports} -j REJECT --reject-with ${closedReject(family)}`,
      ],
    ],
  ]);
  const jumps = new Map([
    ["INPUT", ["-j SALLYPORT-INPUT"]],
    ["FORWARD", ["-j SALLYPORT-PASS"]],
    ["OUTPUT", ["-j SALLYPORT-PASS"]],
  ]);
  return { table: "filter", chains, jumps };
}
