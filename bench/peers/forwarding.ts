/** Plain forwarding by the kernel, with connection tracking and masquerading, and no decision at all: the limit. */
import { masquerade, type Peer } from "./peer.ts";

export const forwarding: Peer = {
  name: "forwarding",
  needs: null,
  forwards: true,
  start: masquerade,
  cannot: (kind) => (kind === "deny" ? "it forwards everything" : kind === "swap" ? "it has no policy" : null),
};
