/**
 * Builds and takes away the network of a run: command —veth— gateway —veth— host. The gateway namespace keeps our ruleset,
 * connection tracking and sysctls away from the host's; the host gets one link, one address per family and one chain.
 */
import { attempt, run } from "../kernel/commands.ts";
import { inNamespace } from "../kernel/namespace.ts";
import { readSysctl, writeSysctl } from "../kernel/sysctl.ts";
import type { Place } from "./place.ts";

/** How much of IPv6 there is: none in this kernel, none but our own links, or a way out through the host. */
export type V6 = "absent" | "local" | "routed";

/** Makes namespaces, links, addresses and routes; what was made is taken away when a step fails. Throws CommandError. */
export function buildNetwork(place: Place, mtu: number, v6: V6): void {
  try {
    build(place, mtu, v6);
  } catch (error) {
    removeNetwork(place);
    throw error;
  }
}

function build(place: Place, mtu: number, v6: V6): void {
  const { command, gateway, commandLink, insideLink, outsideLink, hostLink } = place;
  batch([`netns add ${gateway}`, `netns add ${command}`]);
  if (v6 !== "absent") for (const namespace of [gateway, command]) inNamespace(namespace, prepareV6);
  /** Addresses of one link's end; no address may wait for duplicate detection (`nodad`). */
  const end = (link: string, who: "command" | "inside" | "outside" | "host", has6: boolean) => [
    `address add ${place.v4[who]}/${place.v4.bits} dev ${link}`,
    ...(has6 ? [`address add ${place.v6[who]}/${place.v6.bits} dev ${link} nodad`] : []),
    `link set ${link} up`,
  ];
  batch([
    `link add ${hostLink} mtu ${mtu} type veth peer name ${outsideLink} mtu ${mtu} netns ${gateway}`,
    ...end(hostLink, "host", v6 === "routed"),
  ]);
  batch(
    [
      "link set lo up",
      `link add ${insideLink} mtu ${mtu} type veth peer name ${commandLink} mtu ${mtu} netns ${command}`,
      ...end(insideLink, "inside", v6 !== "absent"),
      ...end(outsideLink, "outside", v6 === "routed"),
      `route add default via ${place.v4.host}`,
      // Without IPv6 on the host nothing may wait in vain for an answer: the gateway says at once that there is no way.
      ...(v6 === "routed" ? [`route add ::/0 via ${place.v6.host}`] : []),
      ...(v6 === "local" ? ["route add unreachable ::/0"] : []),
    ],
    gateway,
  );
  batch(
    [
      "link set lo up",
      ...end(commandLink, "command", v6 !== "absent"),
      `route add default via ${place.v4.inside}`,
      ...(v6 === "absent" ? [] : [`route add ::/0 via ${place.v6.inside}`]),
    ],
    command,
  );
}

/** In a new namespace: whatever the host's defaults are, our links have IPv6, at once, and learn nothing from others. */
function prepareV6(): void {
  for (const which of ["all", "default"]) {
    writeSysctl(`net/ipv6/conf/${which}/disable_ipv6`, "0");
    writeSysctl(`net/ipv6/conf/${which}/accept_dad`, "0");
    writeSysctl(`net/ipv6/conf/${which}/accept_ra`, "0");
  }
}

/**
 * Takes it all away, whatever of it is there. The host's end of the link goes first: from then on nothing passes, whatever
 * becomes of rules and namespaces.
 */
export function removeNetwork(place: Place): void {
  const lines = [`link delete ${place.hostLink}`, `netns delete ${place.command}`, `netns delete ${place.gateway}`];
  // A line that fails names something that is not there; `-force` goes on with the next.
  attempt("ip", ["-force", "-batch", "-"], { input: `${lines.join("\n")}\n` });
}

function batch(lines: string[], namespace?: string): void {
  run("ip", [...(namespace === undefined ? [] : ["-n", namespace]), "-batch", "-"], { input: `${lines.join("\n")}\n` });
}

/** Whether this kernel has IPv6 at all. */
export function hasV6(): boolean {
  return readSysctl("net/ipv6/conf/all/disable_ipv6") !== null;
}
