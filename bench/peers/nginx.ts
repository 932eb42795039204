/** nginx with `ssl_preread`: `nginx.conf`. A port for each port that is intercepted, because it does not learn which one it was. */
import { resolver } from "../stand/stand.ts";
import { configure, interceptEach, listening, type Peer, proxyPort } from "./peer.ts";

export const nginx: Peer = {
  name: "nginx",
  needs: { tool: "nginx", packages: ["nginx", "libnginx-mod-stream"] },
  forwards: true,
  async start(stand, ports) {
    const file = configure(stand, "nginx.conf", { PORT2: proxyPort + 1, PORT3: proxyPort + 2, RESOLVER: resolver });
    const program = stand.lab.gateway.spawn("nginx", ["-p", stand.lab.gateway.home, "-c", file]);
    await listening(stand, program);
    await interceptEach(stand, ports);
  },
  cannot: (kind) =>
    kind === "swap" ? "a reload leaves old workers with the old rules until their connections end" : null,
};
