/** The contenders of connections, in the order of the tables. */
import { forwarding } from "./forwarding.ts";
import { haproxy } from "./haproxy.ts";
import { mitmproxy } from "./mitmproxy.ts";
import { nginx } from "./nginx.ts";
import { node } from "./node.ts";
import type { Peer } from "./peer.ts";
import { sallyport } from "./sallyport.ts";
import { squid } from "./squid.ts";

export const peers: readonly Peer[] = [forwarding, sallyport, haproxy, nginx, squid, node, mitmproxy];
