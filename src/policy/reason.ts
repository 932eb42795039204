/**
 * Why a verdict is what it is. A closed list: every code has a page section in `docs/reason-codes.md`
 * (generated from `reasonTexts`), and an exhaustive switch or record over `Reason` breaks when one is added.
 */
export const reasonTexts = {
  rule: "A rule of the policy decided.",
  default: "No rule matched; the default (tier 3) denies.",
  no_name: "The address has no name from our DNS and no CIDR rule covers it.",
  name_mismatch:
    "The name the client showed (SNI or Host) is allowed, but this address was never handed out for that name.",
  missing_name: "The client showed no name (no SNI, no Host) where a rule needs one.",
  invalid_name: "The name shown is not a host name (an IP literal, NUL, an empty or over-long label, two names).",
  ech: "The hello carries Encrypted Client Hello, which the rule that matches its outer name does not let through.",
  private_address:
    "The address is private, loopback, link-local, a metadata service or the gateway itself; only a CIDR rule can allow it.",
  not_protocol: "The bytes are not the protocol the rule asks for (for example not TLS on a tls rule).",
  malformed: "The bytes that should carry the name are malformed.",
  too_large: "The hello is over a limit: bytes, records, segments or datagrams.",
  overlap: "Two segments covered the same stream bytes with different content.",
  timeout: "The bytes that carry the name did not come in time.",
  closed: "The connection was closed before it showed a name. With verdict allow: it carried no byte at all.",
  syn_data: "The SYN carried data that does not settle the name by itself.",
  host_changed: "A later request, or a second ClientHello, on the same connection asked for another host.",
  mid_stream: "A packet of a connection whose start was not seen.",
  invalid_packet: "The kernel's connection tracking calls the packet invalid.",
  forged_source:
    "The packet came by an interface that no route leads back to its source by: the source is not the sender's.",
  fragment: "An IP fragment that was not reassembled.",
  protocol_denied: "No rule allows this IP protocol here; the default denies it.",
  over_limit: "Too many undecided flows or held bytes for this source.",
  earlier: "The connection was there before enforcement began, so nobody saw its first bytes.",
  packet_socket: "The packet was handed to the network device itself (AF_PACKET), past every rule that decides.",
  policy_changed: "A live connection was ended because the policy no longer allows it.",
  upload_limit: "The source has sent as much under this rule in the last hour as its upload_limit allows.",
  query_type: "This DNS query type is not answered for policed sources.",
  query_malformed: "The DNS message is malformed or not a plain query.",
  query_budget:
    "Too many distinct names under one domain, or too many questions about them, from this source or its link.",
  upstream_failed: "No upstream DNS server gave a usable answer.",
} as const;

/** A reason code, the key of {@link reasonTexts}. */
export type Reason = keyof typeof reasonTexts;
