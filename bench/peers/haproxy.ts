/** HAProxy as a transparent SNI filter: `haproxy.cfg`. */
import { configure, intercept, listening, type Peer } from "./peer.ts";

export const haproxy: Peer = {
  name: "haproxy",
  needs: { tool: "haproxy", packages: ["haproxy"] },
  forwards: true,
  async start(stand, ports) {
    const file = configure(stand, "haproxy.cfg");
    const program = stand.lab.gateway.spawn("haproxy", ["-db", "-f", file]);
    await listening(stand, program);
    await intercept(stand, ports);
  },
  cannot: (kind) =>
    kind === "swap" ? "a reload leaves old processes with the old rules until their connections end" : null,
};
