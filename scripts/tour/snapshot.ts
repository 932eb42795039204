/**
 * What a run may touch of its host, as text: rules, routes, links, namespaces, kernel settings and files. Taken before and
 * after, so that "as it was" is a comparison and not a claim. Acts on the network namespace of the calling thread.
 *
 * Links and namespaces of others come and go on a busy host, so of those only ours are listed; of the rest, everything is.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "../../src/kernel/commands.ts";
import { listNamespaces } from "../../src/kernel/namespace.ts";

/** Topic to lines. */
export type Snapshot = ReadonlyMap<string, readonly string[]>;

const settingsFolder = "/proc/sys/net";
/** Counts of what goes on right now. */
const volatile = new Set(["netfilter/nf_conntrack_count"]);

export function takeSnapshot(): Snapshot {
  // Runs that stand in another network namespace have names and a registry of their own.
  const host = String(statSync("/proc/thread-self/ns/net").ino);
  return new Map([
    ["firewall rules, IPv4", rules("iptables-save")],
    ["firewall rules, IPv6", rules("ip6tables-save")],
    ["routing rules", [...ip("-4", "rule", "show"), ...ip("-6", "rule", "show")]],
    ["routes, IPv4", ip("-4", "route", "show", "table", "all")],
    ["routes, IPv6", ip("-6", "route", "show", "table", "all")],
    ["links", ip("-o", "link", "show").filter((line) => / sallyport\d+[@:]/.test(line))],
    ["network namespaces", listNamespaces(`sallyport-${host}-`)],
    ["kernel settings", settings()],
    ["files", files(host)],
  ]);
}

/** What is not in both, a line each: `-` was there before, `+` is there now. None: the host is as it was. */
export function differences(before: Snapshot, after: Snapshot): string[] {
  return [...before].flatMap(([topic, old]) => {
    const now = after.get(topic) ?? [];
    return [
      ...old.filter((line) => !now.includes(line)).map((line) => `${topic}: - ${line}`),
      ...now.filter((line) => !old.includes(line)).map((line) => `${topic}: + ${line}`),
    ];
  });
}

/** Without packet counts and the tool's own remarks. */
function rules(tool: string): string[] {
  return attempt(tool, [])
    .stdout.split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ""));
}

/** Without the remaining lifetimes of what routers advertise. */
function ip(...args: string[]): string[] {
  return attempt("ip", args)
    .stdout.split("\n")
    .map((line) => line.replace(/ expires \d+sec/, "").trim())
    .filter((line) => line !== "");
}

/** Settings of links that are ours are gone with the links; those of kernel modules that came meanwhile are new to all. */
function settings(): string[] {
  const lines: string[] = [];
  for (const entry of readdirSync(settingsFolder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const name = join(entry.parentPath, entry.name).slice(settingsFolder.length + 1);
    if (volatile.has(name)) continue;
    try {
      lines.push(`${name} = ${readFileSync(join(settingsFolder, name), "latin1").trim()}`);
    } catch {
      // Write-only, or gone with its link.
    }
  }
  return lines.toSorted();
}

function files(host: string): string[] {
  const list = (folder: string, pattern: RegExp) => {
    try {
      return readdirSync(folder)
        .filter((name) => pattern.test(name))
        .map((name) => join(folder, name));
    } catch {
      return [];
    }
  };
  return [...list(join("/run/sallyport/run", host), /^slot-|^settings/), ...list("/tmp", /^sallyport-tour-/)];
}
