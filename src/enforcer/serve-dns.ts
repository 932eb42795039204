/** The DNS firewall on the sockets that were opened for it, for whoever asks where the enforcer stands. */
import type { EventBody } from "../audit/event.ts";
import { DnsFirewall } from "../dns/firewall.ts";
import type { Binding } from "../flow/book.ts";
import type { Conntrack } from "../kernel/conntrack.ts";
import type { Engine } from "../policy/decision.ts";
import { Askers } from "./askers.ts";
import type { Listeners } from "./listeners.ts";
import type { EnforcerOptions } from "./options.ts";
import { AnsweringAddresses, originalServer } from "./original-server.ts";

export interface DnsParts {
  options: EnforcerOptions;
  listeners: Listeners;
  conntrack: Conntrack;
  /** Runs something where the interfaces are. */
  within: <T>(fn: () => T) => T;
  policy: () => Engine;
  bind: (bindings: Binding[]) => Promise<void>;
  record: (event: EventBody) => void;
}

export function serveDns({ options, listeners, conntrack, within, policy, bind, record }: DnsParts): DnsFirewall {
  const isMachine = options.stand.kind === "machine";
  const answering = new AnsweringAddresses(within);
  // A machine's own addresses are servers' as well: its resolvers', and those of its containers' networks.
  const own = isMachine ? new Set<string>() : listeners.addresses;
  const askers = options.askers === undefined ? null : new Askers(options.askers);
  const dns = new DnsFirewall({
    policy,
    upstreams: options.upstreams,
    bind,
    originalServer: (transport, client, local) =>
      originalServer(conntrack, own, transport, client, answering.of(local, client)),
    ...(askers === null ? {} : { askerOf: (...asked) => askers.of(...asked) }),
    oneSender: isMachine,
    record,
    deny: options.dnsDeny,
    now: () => Date.now(),
  });
  for (const { link, udp, tcp } of listeners.pairs) {
    dns.listenUdp(udp, link);
    dns.listenTcp(tcp, link);
  }
  return dns;
}
