/**
 * Commands that change a machine's firewall, its routes or the services that guard it (threat R3). Said of what is run as root by a
 * job's step; what only lists is left out, and so is what builds do every day (`sysctl vm.max_map_count`, `systemctl start`). The
 * change itself is found by looking at the kernel: a program of somebody's own needs no command. Pure.
 */

/** Names of programs, as they are called: what is asked about elsewhere need not come here. */
export const firewallPrograms: readonly string[] = [
  ...["iptables", "ip6tables", "ebtables", "arptables"].flatMap((name) =>
    ["", "-legacy", "-nft"].flatMap((kind) => [`${name}${kind}`, `${name}${kind}-restore`]),
  ),
  "iptables-translate",
  "xtables-multi",
  "xtables-nft-multi",
  "xtables-legacy-multi",
  "nft",
  "tc",
  "bpftool",
  "conntrack",
  "ip",
  "ifconfig",
  "route",
  "sysctl",
  "systemctl",
  "ufw",
  "firewall-cmd",
];

const table = /^(?:ip6?|eb|arp)tables(?:-legacy|-nft)?(-restore)?$/;
const listing = new Set(["-L", "-S", "-C", "-V", "-h", "--list", "--list-rules", "--check", "--version", "--help"]);
const ipObjects = ["link", "route", "rule", "address", "addr", "neighbour", "neigh", "tunnel", "xfrm"];
const ipVerbs = ["add", "delete", "del", "set", "change", "replace", "append", "prepend", "flush"];
const tcVerbs = ["add", "delete", "del", "change", "replace", "flush"];
const bpfVerbs = ["attach", "detach", "load", "loadall", "update", "delete", "pin", "register", "unregister"];
const stops = ["stop", "kill", "disable", "mask", "restart", "isolate"];
const guards = /sallyport|nftables|iptables|ufw|firewalld|network|resolved|auditd|docker|containerd|rescue|emergency/i;

/** What it changes, in a word; null where it changes nothing of interest. `args` with the name that it was called by first. */
export function firewallCommand(
  args: readonly string[],
): "rules" | "filters" | "connections" | "routes" | "settings" | "services" | null {
  const [called = "", ...all] = args;
  let name = called.slice(called.lastIndexOf("/") + 1);
  let rest = all;
  if (name.startsWith("xtables-") && rest.length > 0) [name, ...rest] = rest as [string, ...string[]];
  const words = rest.filter((each) => !each.startsWith("-"));
  const has = (...wanted: string[]) => rest.some((each) => wanted.includes(each));
  const restore = table.exec(name);
  if (restore !== null) {
    if (restore[1] !== undefined) return has("-t", "--test", "-h", "--help") ? null : "rules";
    return rest.length === 0 || rest.some((each) => listing.has(each) || /^-[nvx]*[LS][nvx]*$/.test(each))
      ? null
      : "rules";
  }
  switch (name) {
    case "nft":
      if (has("-f", "--file", "-i", "--interactive")) return has("-c", "--check") ? null : "rules";
      // Words may come as one argument: nft 'flush ruleset'.
      return /\b(?:add|delete|destroy|flush|insert|replace|create|rename|reset)\b/.test(rest.join(" "))
        ? "rules"
        : null;
    case "ufw":
      return has("status", "version", "--version", "show") || rest.length === 0 ? null : "rules";
    case "firewall-cmd":
      return rest.some((each) => /^--(?:add|remove|set|change|panic-on|reload|direct|delete|new)/.test(each))
        ? "rules"
        : null;
    case "tc":
      return words.some((each) => tcVerbs.includes(each)) || has("-b", "-batch") ? "filters" : null;
    case "bpftool":
      return words.slice(1).some((each) => bpfVerbs.includes(each)) ? "filters" : null;
    case "conntrack":
      return rest.some((each) => /^-[DFUIC]/.test(each) && each !== "-C") ||
        has("--delete", "--flush", "--update", "--create")
        ? "connections"
        : null;
    case "ip":
      if (rest.some((each) => /^-b(?:a(?:t(?:c(?:h)?)?)?)?$/.test(each))) return "routes";
      return ipChange(rest) ? "routes" : null;
    case "ifconfig":
      return words.length > 1 ? "routes" : null;
    case "route":
      return words.some((each) => ["add", "del", "delete", "flush"].includes(each)) ? "routes" : null;
    case "sysctl":
      return sysctlChange(rest) ? "settings" : null;
    case "systemctl":
      return stops.includes(words[0] ?? "") && guards.test(words.join(" ")) ? "services" : null;
    default:
      return null;
  }
}

/** iproute2 takes any beginning of a word that is long enough to be one. What it does in another namespace is not ours. */
function ipChange(rest: readonly string[]): boolean {
  const words: string[] = [];
  for (let i = 0; i < rest.length; i++) {
    const each = rest[i]!;
    if (/^-{1,2}n(?:etns)?$/.test(each)) return false;
    if (/^-{1,2}(?:f|family|rc|rcvbuf|l|loops)$/.test(each)) i++;
    else if (!each.startsWith("-")) words.push(each);
  }
  const [object = "", verb = ""] = words;
  const isOf = (word: string, list: readonly string[]) => word !== "" && list.some((each) => each.startsWith(word));
  return isOf(object, ipObjects) && isOf(verb, ipVerbs);
}

/** Of the network alone: memory and files are a build's own. A file may hold anything. */
function sysctlChange(rest: readonly string[]): boolean {
  if (rest.some((each) => /^(?:-[a-zA-Z]*[pf]|--load|--system)/.test(each))) return true;
  const writes = rest.some((each) => /^(?:-[a-zA-Z]*w|--write)/.test(each));
  const names = rest.filter((each) => !each.startsWith("-"));
  return names.some((each) => /^net[./]/.test(each) && (writes || each.includes("=")));
}
