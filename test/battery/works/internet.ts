/** What the works need of the lab's internet besides the battery's own: names, OpenSSL's servers, a narrow path. */
import { silentAddress } from "../../lab/internet/default-zone.ts";
import type { Zone, ZoneEntry } from "../../lab/internet/zone.ts";
import type { Lab } from "../../lab/lab.ts";
import { runTool } from "../../lab/tools.ts";

function addresses(v4: readonly string[], v6: readonly string[]): ZoneEntry {
  return {
    records: [
      ...v4.map((data) => ({ type: "A" as const, data })),
      ...v6.map((data) => ({ type: "AAAA" as const, data })),
    ],
  };
}

const numbered = (n: number): ZoneEntry => addresses([`203.0.113.${n}`], [`2001:db8:200::${n}`]);

/** More than 512 octets, and with AAAA more than 1232: too many for one datagram, at least without EDNS. */
const crowd = Array.from({ length: 60 }, (_, i) => 100 + i);

export const worksZone: Zone = {
  // One family works, the other's packets vanish.
  "eyes4.wild.example": addresses(["203.0.113.47"], [silentAddress.v6]),
  "eyes6.wild.example": addresses([silentAddress.v4], ["2001:db8:200::47"]),
  "crowd.wild.example": addresses(
    crowd.map((n) => `203.0.113.${n}`),
    crowd.map((n) => `2001:db8:200::${n}`),
  ),
  "narrow.wild.example": numbered(33),
  "openssl.example": numbered(57),
};

/** Ports of `openssl.example`: one group that clients do not guess, early data, client certificates. */
export const opensslPorts = { retry: 4433, early: 4434, mutual: 4435 } as const;

export async function furnishWorks(lab: Lab): Promise<void> {
  const { keyFile, certFile } = await lab.internet.call("certificate", { name: "openssl.example" });
  const serve = async (port: number, ...more: string[]): Promise<void> => {
    const args = ["s_server", "-accept", String(port), "-key", keyFile, "-cert", certFile, ...more];
    await lab.world.spawn("openssl", args).waitFor(/^ACCEPT$/m);
  };
  await Promise.all([
    serve(opensslPorts.retry, "-groups", "P-384", "-www"),
    serve(opensslPorts.early, "-early_data"),
    serve(opensslPorts.mutual, "-Verify", "1", "-verify_return_error", "-CAfile", lab.caFile, "-www"),
    narrow(lab),
  ]);
}

/** Towards `narrow.wild.example` the last router can send only the smallest packets that IPv6 allows (RFC 8200 section 5). */
async function narrow(lab: Lab): Promise<void> {
  const { v4, v6 } = lab.outside.internet;
  const lines = [`route add 203.0.113.33/32 via ${v4} mtu 1280`, `route add 2001:db8:200::33/128 via ${v6} mtu 1280`];
  await runTool("ip", ["-n", lab.gateway.namespace, "-batch", "-"], lines.map((line) => `${line}\n`).join(""));
}
