/**
 * Builds and takes away the network of a run: command —veth— gateway —veth— host. The gateway namespace keeps our ruleset,
 * connection tracking and sysctls away from the host's; the host gets one link, one address per family and one chain.
 */
import { CommandError, run } from "../kernel/commands.ts";
import { addNamespace, deleteNamespace, inNamespace } from "../kernel/namespace.ts";
import { readSysctl, writeSysctl } from "../kernel/sysctl.ts";
import type { Place } from "./place.ts";

/** Makes namespaces, links, addresses and routes; what was made is taken away when a step fails. */
export function buildNetwork(place: Place, mtu: number): void {
  try {
    build(place, mtu);
  } catch (error) {
    removeNetwork(place);
    throw error;
  }
}

function build(place: Place, mtu: number): void {
  const { command, gateway, commandLink, insideLink, outsideLink, hostLink, v4, v6 } = place;
  addNamespace(gateway);
  addNamespace(command);
  // No address of a link may wait for duplicate detection: the command's first packet could be sent in that second.
  for (const namespace of [gateway, command]) {
    inNamespace(namespace, () => {
      writeSysctl("net/ipv6/conf/default/accept_dad", "0");
      writeSysctl("net/ipv6/conf/default/accept_ra", "0");
      writeSysctl("net/ipv6/conf/all/accept_ra", "0");
    });
  }
  batch([
    `link add ${hostLink} mtu ${mtu} type veth peer name ${outsideLink} mtu ${mtu} netns ${gateway}`,
    `address add ${v4.host}/${v4.bits} dev ${hostLink}`,
    `address add ${v6.host}/${v6.bits} dev ${hostLink} nodad`,
    `link set ${hostLink} up`,
  ]);
  batch(
    [
      `link add ${insideLink} mtu ${mtu} type veth peer name ${commandLink} mtu ${mtu} netns ${command}`,
      `address add ${v4.inside}/${v4.bits} dev ${insideLink}`,
      `address add ${v6.inside}/${v6.bits} dev ${insideLink} nodad`,
      `link set ${insideLink} up`,
      `address add ${v4.outside}/${v4.bits} dev ${outsideLink}`,
      `address add ${v6.outside}/${v6.bits} dev ${outsideLink} nodad`,
      `link set ${outsideLink} up`,
      `route add default via ${v4.host}`,
      `route add ::/0 via ${v6.host}`,
    ],
    gateway,
  );
  batch(
    [
      `address add ${v4.command}/${v4.bits} dev ${commandLink}`,
      `address add ${v6.command}/${v6.bits} dev ${commandLink} nodad`,
      `link set ${commandLink} up`,
      `route add default via ${v4.inside}`,
      `route add ::/0 via ${v6.inside}`,
    ],
    command,
  );
}

/** Takes it all away, whatever of it is there. */
export function removeNetwork(place: Place): void {
  deleteNamespace(place.command);
  deleteNamespace(place.gateway);
  try {
    run("ip", ["link", "delete", place.hostLink]);
  } catch (error) {
    // With the gateway namespace its end of the pair goes, and the host's end with it.
    if (!(error instanceof CommandError)) throw error;
  }
}

/** Without IPv6 on the host nothing may wait in vain for an answer: the gateway says at once that there is no way. */
export function withoutV6(place: Place): void {
  batch(["route replace unreachable ::/0"], place.gateway);
}

function batch(lines: string[], namespace?: string): void {
  run("ip", [...(namespace === undefined ? [] : ["-n", namespace]), "-batch", "-"], { input: `${lines.join("\n")}\n` });
}

/** Whether an IPv6 sysctl tree exists at all. */
export function hasV6(): boolean {
  return readSysctl("net/ipv6/conf/all/disable_ipv6") === "0";
}
