/** Squid peek-and-splice: `squid.conf`. It wants a certificate of its own even where it shows it to nobody. */
import { join } from "node:path";
import { resolver, run } from "../stand/stand.ts";
import { configure, intercept, listening, type Peer } from "./peer.ts";

export const squid: Peer = {
  name: "squid",
  needs: { tool: "squid", packages: ["squid-openssl"] },
  forwards: true,
  async start(stand, ports) {
    const { gateway } = stand.lab;
    const pem = join(gateway.home, "squid.pem");
    const subject = ["-subj", "/CN=squid.example", "-days", "2"];
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem, "-out", pem];
    await run(gateway, "openssl", ["req", "-x509", ...key, ...subject]);
    // It gives up root for this user, and writes there.
    await run(gateway, "install", ["-d", "-o", "proxy", "-g", "proxy", join(gateway.home, "squid")]);
    const service = `bench${stand.lab.id}`;
    const file = configure(stand, "squid.conf", { RESOLVER: resolver });
    const program = gateway.spawn("squid", ["--foreground", "-n", service, "-f", file]);
    await listening(stand, program);
    await intercept(stand, ports);
  },
  cannot: (kind) => (kind === "swap" ? "a reconfiguration leaves spliced connections alone" : null),
};
