/** Cargo: sources and registries of its configuration, and what Cargo.lock has packages from. */
import { dirname, join } from "node:path";
import { presetHosts } from "../policy/presets.ts";
import { Finding, fromLockfile, placeOf } from "./finding.ts";
import { readText } from "./machine.ts";
import type { Machine, Text } from "./machine.ts";
import { readToml, tableOf, textsOf } from "./toml.ts";
import type { Table } from "./toml.ts";

const cratesIo = "https://github.com/rust-lang/crates.io-index";

interface Configuration {
  readonly file: Text;
  readonly table: Table;
}

/** What Cargo needs here. */
export function findCargo(machine: Machine): Finding {
  const finding = new Finding();
  const configurations = read(machine, finding);
  const replaced = replacementOf(configurations, finding);
  for (const { file, table } of configurations) {
    for (const name of Object.keys(tableOf(table, "registries"))) {
      for (const index of textsOf(tableOf(tableOf(table, "registries"), name), "index")) {
        finding.url(index, placeOf(file, index, `registry ${name}`));
        finding.notes.push(
          `registry ${name} says in its config.json where its crates are; where that is another host, add it`,
        );
      }
    }
  }
  const lock = readText(machine, join(machine.folder, "Cargo.lock"));
  const root = lock === null ? null : readToml(lock, finding);
  const sources = root === null ? [] : packagesOf(root).flatMap((each) => textsOf(each, "source"));
  const isPublic = (source: string) =>
    source === `registry+${cratesIo}` || source === "sparse+https://index.crates.io/";
  // What a registry is called in the lockfile stays, whatever it is replaced by.
  if (lock !== null)
    fromLockfile(
      finding,
      lock,
      sources.filter((source) => !isPublic(source)),
      "package",
    );
  if (replaced) {
    if (finding.found.length === 0) finding.notes.push("crates come from files, not from a network");
    return finding;
  }
  const asksPublic = !finding.isBroken && (sources.length === 0 || sources.some(isPublic));
  finding.asksBuiltIn = asksPublic && finding.found.length === 0;
  if (asksPublic && !finding.asksBuiltIn)
    for (const { host, reason } of presetHosts("cargo")) finding.host(host, 443, "tls", reason);
  return finding;
}

function packagesOf(root: Table): Table[] {
  const packages = root["package"];
  return Array.isArray(packages)
    ? packages.filter((each): each is Table => typeof each === "object" && each !== null)
    : [];
}

/** `.cargo/config.toml` of the project and of each folder above it, then of CARGO_HOME: the nearer one first. */
function read(machine: Machine, finding: Finding): Configuration[] {
  const folders: string[] = [];
  for (let at = machine.folder; ; at = dirname(at)) {
    folders.push(join(at, ".cargo"));
    if (dirname(at) === at) break;
  }
  folders.push(machine.environment["CARGO_HOME"] ?? join(machine.home, ".cargo"));
  return [...new Set(folders)].flatMap((folder) => {
    const file = readText(machine, join(folder, "config.toml")) ?? readText(machine, join(folder, "config"));
    const table = file === null ? null : readToml(file, finding);
    return file === null || table === null ? [] : [{ file, table }];
  });
}

/** Follows what stands in for crates.io; true where something does. */
function replacementOf(configurations: readonly Configuration[], finding: Finding): boolean {
  const source = (name: string): readonly [Table, Text] | null => {
    for (const { file, table } of configurations) {
      const found = tableOf(tableOf(table, "source"), name);
      if (Object.keys(found).length > 0) return [found, file];
    }
    return null;
  };
  const seen = new Set<string>();
  for (let name = "crates-io"; !seen.has(name);) {
    seen.add(name);
    const found = source(name);
    if (found === null) {
      const registry = configurations.some(({ table }) => name in tableOf(table, "registries"));
      if (name !== "crates-io" && !registry)
        finding.missing.push(`crates.io is replaced by a source ${name} that no file declares`);
      return name !== "crates-io";
    }
    const [table, file] = found;
    const [next] = textsOf(table, "replace-with");
    for (const url of next === undefined ? [...textsOf(table, "registry"), ...textsOf(table, "git")] : []) {
      finding.url(url, placeOf(file, url, `source ${name}, in place of crates.io`));
    }
    if (next === undefined) return name !== "crates-io";
    name = next;
  }
  finding.missing.push("the sources that replace crates.io go round in a circle");
  return true;
}
