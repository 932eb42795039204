/** Go: GOPROXY, GOSUMDB and the modules that are fetched from their own hosts (GOPRIVATE, GONOPROXY). */
import { join } from "node:path";
import { presetHosts } from "../policy/presets.ts";
import { Finding, placeOf } from "./finding.ts";
import { readText } from "./machine.ts";
import type { Machine } from "./machine.ts";

interface Setting {
  readonly value: string;
  readonly why: string;
}

/** What the go command needs here. */
export function findGo(machine: Machine): Finding {
  const finding = new Finding();
  const setting = settingsOf(machine);
  const [proxy, sum] = [setting("GOPROXY"), setting("GOSUMDB")];
  const privates = setting("GONOPROXY") ?? setting("GOPRIVATE");
  const direct = fromModules(machine, privates, finding);
  if (proxy === null && sum === null && !direct) {
    finding.asksBuiltIn = true;
    return finding;
  }
  const [usualProxy, usualSum] = presetHosts("go");
  if (proxy === null) finding.host(usualProxy!.host, 443, "tls", usualProxy!.reason);
  else fromProxy(proxy, finding);
  if (sum === null)
    finding.host(usualSum!.host, 443, "tls", `${usualSum!.reason}; asked where the proxy does not mirror it`);
  else if (sum.value !== "off") {
    // `name`, `name+key` or `name+key URL`.
    const [database, url] = sum.value.split(/\s+/);
    finding.url(url ?? `https://${database!.split("+")[0]}`, sum.why);
  }
  return finding;
}

/** GOPROXY: URLs, `direct` and `off`, parted by commas or bars. */
function fromProxy({ value, why }: Setting, finding: Finding): void {
  const entries = value.split(/[,|]/).filter((each) => each !== "");
  for (const entry of entries.filter((each) => each !== "direct" && each !== "off")) finding.url(entry, why);
  if (!entries.includes("direct")) return;
  if (entries.indexOf("direct") === 0) {
    finding.missing.push("GOPROXY is direct: every module comes from a host of its own; name them");
  } else {
    finding.notes.push(
      "GOPROXY ends in direct: modules that the proxy lacks come from hosts of their own, which stay closed",
    );
  }
}

/** The environment before the file that `go env -w` writes. */
function settingsOf(machine: Machine): (name: string) => Setting | null {
  const { environment, home } = machine;
  const configured = environment["GOENV"] ?? join(environment["XDG_CONFIG_HOME"] ?? join(home, ".config"), "go/env");
  const file = configured === "off" ? null : readText(machine, configured);
  return (name) => {
    const value = environment[name];
    if (value !== undefined && value !== "") return { value, why: `${name} in the environment` };
    const match = file === null ? null : new RegExp(`^${name}=(.+)$`, "m").exec(file.text);
    return match === null ? null : { value: match[1]!.trim(), why: placeOf(file!, match[0], name) };
  };
}

/** Modules of go.sum that no proxy is asked for; true where there are any. */
function fromModules(machine: Machine, privates: Setting | null, finding: Finding): boolean {
  const file = readText(machine, join(machine.folder, "go.sum"));
  if (file === null || privates === null || privates.value === "none") return false;
  const globs = privates.value.split(",").filter((glob) => glob !== "");
  const paths = new Set([...file.text.matchAll(/^(\S+) v\S+ h1:/gm)].map((match) => match[1]!));
  let any = false;
  for (const path of paths) {
    if (!globs.some((glob) => isPrefix(glob, path))) continue;
    any = true;
    finding.host(path.split("/")[0]!, 443, "tls", `${placeOf(file, path, "a private module")} (${privates.why})`);
  }
  return any;
}

/** Go's path.Match on as many elements of the path as the glob has. */
function isPrefix(glob: string, path: string): boolean {
  const parts = glob.split("/");
  const own = path.split("/");
  if (own.length < parts.length) return false;
  return parts.every((part, i) => {
    const pattern = part
      .replaceAll(/[.+^${}()|\\[\]]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    return new RegExp(`^${pattern}$`).test(own[i]!);
  });
}
