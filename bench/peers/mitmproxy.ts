/** mitmproxy as a transparent SNI filter: `mitmproxy.py`. One process, because there is no more to it. */
import { configure, intercept, listening, type Peer, proxyPort } from "./peer.ts";

export const mitmproxy: Peer = {
  name: "mitmproxy",
  needs: { tool: "mitmdump", packages: ["mitmproxy"] },
  forwards: true,
  slow: true,
  async start(stand, ports) {
    const filter = configure(stand, "mitmproxy.py");
    const listen = ["--mode", "transparent", "--listen-host", "0.0.0.0", "--listen-port", `${proxyPort}`];
    // Dialled once the name is known, and nothing printed for each connection.
    const lean = ["--set", "connection_strategy=lazy", "--set", "flow_detail=0", "--quiet", "-s", filter];
    const program = stand.lab.gateway.spawn("mitmdump", [...listen, ...lean]);
    await listening(stand, program);
    await intercept(stand, ports);
  },
  cannot: (kind) =>
    kind === "swap"
      ? "a reloaded script leaves connections alone"
      : kind === "many"
        ? "at some hundred connections a second the load would measure time-outs"
        : null,
};
