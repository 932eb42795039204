/** `docs/reason-codes.md`: what each reason means, from the code, and what to do about it, from here. */
import { reasonTexts, type Reason } from "../../src/policy/reason.ts";

/** Advice for whoever meets the reason in a table or an event. A new reason does not type-check without one. */
const advice: Record<Reason, string> = {
  rule: "The event's `rule` names it, with its line in the policy. A deny rule's `reason` says why it is there.",
  default:
    "If the job needs this destination, add a rule for it; `sallyport policy explain` shows what each rule made of it.",
  no_name:
    "The program used a bare address: hard-coded, cached from before, or learnt by other means than DNS. Let it use the name, or allow the network by CIDR.",
  name_mismatch:
    "Usual causes are a hosts file, a cached address, a resolver of the program's own (DNS over HTTPS), or an attempt to hide behind an allowed name. Let the program resolve the name through Sallyport.",
  missing_name:
    "An old client, or one told to send no SNI. Allow the destination by CIDR, or with `protocol: tcp` if you accept that nothing checks the name.",
  invalid_name: "Well-behaved clients do not send this. Look at the process.",
  ech: "The name shown is the outer one; the name meant is sealed and may be any tenant's of the same front. Browsers send the extension without meaning it: for hosts that a browser must reach, `ech: allow` on their rule; for anything else, find out who gave the program its keys.",
  private_address:
    "Allow the network in a CIDR rule with its port if it is meant to be reached. A public name that answers with a private address is DNS rebinding until proven otherwise.",
  not_protocol:
    "The service does not speak what its port suggests. If that is right, say so in the rule: `protocol: tcp` (nothing checks the name) or another protocol.",
  malformed: "A broken client or an evasion. The first bytes are not forwarded either way.",
  too_large: "Real clients stay far below the limits (`docs/limits.md`). Look at the process.",
  overlap: "A network does not produce this by itself: it is how one hides a name from a filter. Look at the process.",
  timeout:
    "The client connected and said nothing, as server-first protocols do (SMTP, MySQL, FTP). Name the protocol in the rule: `protocol: tcp`.",
  closed: "Harmless: port checks and cancelled connections look like this. No payload passed.",
  syn_data: "TCP Fast Open with an unfinished hello. The client's next attempt, without it, is decided normally.",
  host_changed: "Give the other host its own rule; the client will open another connection for it.",
  mid_stream:
    "The connection was open before Sallyport, or its state expired after a long silence. The client's reconnect is decided normally.",
  invalid_packet: "Stray packets of finished connections are common and harmless; many of them are a scan.",
  forged_source:
    "A machine that claims another's address, or a network behind the gateway that the gateway has no route to: give it one (`ip route get ADDRESS` must name the inside interface).",
  fragment:
    "Whole datagrams are put together before they get here. What is left over lacks fragments or has some that overlap: a lossy network or an attack on how they are put together. Without source and destination it is a count by the kernel, see docs/events.md.",
  protocol_denied:
    "ICMP needs a rule with `protocol: icmp`. Other IP protocols (GRE, SCTP, ESP) cannot be allowed: they would be tunnels.",
  over_limit: "One source opened too many connections that never showed a name. Other sources are not affected.",
  earlier:
    "Start enforcement before anything else runs. A connection that must go on is vouched for by whoever starts it; the runner's own are.",
  packet_socket:
    "Few programs do this, and they need root: scanners, packet generators, some VPN clients. A DHCP client's broadcasts and ARP pass. Look at the process.",
  policy_changed: "The policy in force no longer allows what this connection does. The event names the new policy.",
  upload_limit:
    "Look at what was sent and why: the `detection` event has the amount, `flow_end` events each connection's. Raise the rule's `upload_limit` if the job is meant to send that much; what was refused is allowed again when the hour has passed.",
  query_type:
    "Programs that need it (mail servers, zone transfers) do not belong behind this policy. The table of types is in `docs/requirements.md`.",
  query_malformed: "A broken client or a tunnel. Nothing was forwarded.",
  query_budget:
    "Data can hide in the labels of names under a wildcard. Name the hosts, or look at what asks for so many.",
  upstream_failed: "Sallyport's own DNS servers did not answer. Check `--dns`, or the host's resolver.",
};

export function reasonCodesPage(): string {
  const sections = Object.entries(reasonTexts).map(
    ([code, text]) => `## \`${code}\`\n\n${text}\n\n${advice[code as Reason]}`,
  );
  return `# Reason codes

<!-- Generated from src/policy/reason.ts and scripts/docs/reason-codes.ts by \`npm run docs\`. -->

Every verdict carries one of these, in tables, in events (\`reason\`) and in \`sallyport policy explain\`. The list is closed:
a release that adds a code says so in the changelog. In monitor mode the same codes say what enforce would have done.

${sections.join("\n\n")}
`;
}
