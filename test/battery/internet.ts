/**
 * The battery's internet and its one policy. Names that are allowed stand at addresses that others share, and the attacker
 * has addresses, names and servers of his own, on every port that an attempt needs. `test/lab/README.md` has the rest.
 */
import type { ZoneEntry } from "../lab/internet/zone.ts";
import type { Lab, LabOptions } from "../lab/lab.ts";
import type { Mode } from "./case.ts";
import { furnishWorks, worksZone } from "./works/internet.ts";

/** A name at the address that ends in this number, in both families. */
const at = (n: number): ZoneEntry => ({
  records: [
    { type: "A", data: `203.0.113.${n}` },
    { type: "AAAA", data: `2001:db8:200::${n}` },
  ],
});

export const labOptions: LabOptions = {
  quic: true,
  zone: {
    ...worksZone,
    // The client ngtcp2 takes a name's first address: a name for each family.
    "hidden.example": at(10),
    "upload.example": at(12),
    // For what uses up a budget.
    "*.hoard.example": { records: [{ type: "A", data: "203.0.113.60" }] },
    "quic4.example": { records: [{ type: "A", data: "203.0.113.92" }] },
    "quic6.example": { records: [{ type: "AAAA", data: "2001:db8:200::92" }] },
  },
};

/** Servers besides the lab's own. */
export async function furnish(lab: Lab): Promise<void> {
  await lab.internet.listen({ kind: "banner", port: 2525 });
  for (const address of ["203.0.113.66", "2001:db8:200::66"]) {
    await lab.internet.listen({ kind: "udp-echo", port: 443, address });
  }
  await furnishWorks(lab);
}

/** `mode` is the default's; rules in front of `extra` are what the attempts and works of the battery need. */
export function batteryPolicy(mode: Mode, extra = ""): string {
  return `version: 1
permits:
  - { name: mirror by address, to: [192.0.2.0/24, "[2001:db8:300::/48]:443"] }
rules:
  - { name: no hidden names, to: [hidden.example], ech: deny }
  - { name: small uploads, to: [upload.example], upload_limit: 100 kB }
  - name: web
    to: [allowed.example, private.example, metadata.example, loopback.example, mapped.example, cdn.example,
      rotating.example, v4only.example, v6only.example, big.example, short.example, https.example, mail.example,
      forged.example, moving.example, loop.example, "*.wild.example", "*.hoard.example"]
  - { name: plain web, to: [plain.example, apt.example], ports: [80] }
  - { name: mail, to: ["allowed.example:2525"], protocol: tls }
  - { name: proxy, to: ["proxy.example:3128"], protocol: http }
  - { name: packages, to: [registry.npm.example, v4.pypi.example, v6.pypi.example, apt.example] }
  - { name: source, to: [git.example] }
  - { name: shell, to: [ssh.example, git-ssh.example], ports: [22] }
  - { name: streams, to: ["tcp.example:9000,9001,9002"], protocol: tcp }
  - { name: openssl, to: ["openssl.example:4433,4434,4435"], protocol: tls }
  - { name: datagrams, to: ["udp.example:9100"], protocol: udp }
  - { name: http/3, to: [quic4.example, quic6.example], protocol: quic }
${extra}default: { mode: ${mode} }
`;
}
