/** What the DNS firewall's thread is told, out of where an enforcer stands. */
import type { DnsThreadOptions } from "./dns-thread.ts";
import type { EnforcerOptions } from "./options.ts";
import type { PolicyInForce } from "./policy-source.ts";

type Setup = Omit<DnsThreadOptions, "onTold" | "onBound" | "onFailure">;

export function dnsSetup(options: EnforcerOptions, { loaded, at }: PolicyInForce): Setup {
  const { namespace, upstreams, dnsDeny, stand, who, askers, spare } = options;
  return {
    namespace,
    policy: { policy: loaded.policy, at },
    upstreams,
    deny: dnsDeny,
    isMachine: stand.kind === "machine",
    askers:
      who === undefined || askers === undefined
        ? null
        : {
            ...{ worker: who.worker, secrets: who.secrets, notes: who.notes ?? null, calls: who.calls ?? null },
            ...askers,
          },
    ...(spare === undefined ? {} : { spare }),
  };
}
