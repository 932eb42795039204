/** A plain Node proxy: `node-proxy.ts`. */
import { interceptEach, listening, type Peer } from "./peer.ts";

const file = new URL("./node-proxy.ts", import.meta.url).pathname;

export const node: Peer = {
  name: "node",
  needs: null,
  forwards: true,
  slow: true,
  async start(stand, ports) {
    const program = stand.lab.gateway.spawn(process.execPath, ["--no-warnings", file, "13443", ports.join(",")]);
    await listening(stand, program);
    await interceptEach(stand, ports);
  },
  cannot: (kind) => (kind === "swap" ? "it has no way to change its list" : null),
};
