/**
 * npm: the registries that npm itself says it would ask, and the hosts that the lockfile has packages from. Which registry the
 * public one is stands nowhere here: npm knows.
 */
import { join } from "node:path";
import { Finding, fromLockfile, placeOf, readUrl, shown } from "./finding.ts";
import { ask, nameOf, projectPrefix, readText } from "./machine.ts";
import type { Machine } from "./machine.ts";

/** `replace-registry-host` when nobody sets it. */
const usual = "default";

/** What npm answers, or what its files say where there is no npm. */
interface Configuration {
  /** Key and value: `registry`, `@scope:registry`. */
  readonly registries: readonly (readonly [string, string, string])[];
  readonly replace: string;
}

/** What npm needs here. */
export function findNpm(machine: Machine): Finding {
  const finding = new Finding();
  const { registries, replace } = configuration(machine, finding);
  for (const [, value, why] of registries) finding.url(value, why);
  const registry = registries.find(([key]) => key === "registry")?.[1] ?? null;
  if (registry === null) {
    finding.missing.push(
      "nothing names npm's registry: there is no npm on PATH to say, and no .npmrc with registry=. Run this where npm is configured.",
    );
  }
  const replaced = registry === null ? () => false : replacedBy(registry, replace, machine, finding);
  for (const name of ["npm-shrinkwrap.json", "package-lock.json"]) {
    const file = readText(machine, join(machine.folder, name));
    if (file === null) continue;
    const urls = resolvedOf(file.text);
    if (urls === null) finding.missing.push(`${name} is no JSON`);
    else
      fromLockfile(
        finding,
        file,
        urls.filter((url) => !replaced(url)),
        "package",
      );
    return finding;
  }
  const berry = readText(machine, join(machine.folder, ".yarnrc.yml"));
  for (const [, url] of berry?.text.matchAll(/^\s*npmRegistryServer:\s*['"]?([^\s'"#]+)/gm) ?? []) {
    finding.url(url!, placeOf(berry!, url!, "npmRegistryServer"));
  }
  const yarn = readText(machine, join(machine.folder, "yarn.lock"));
  if (yarn !== null) {
    const urls = [...yarn.text.matchAll(/^ {2}resolved "([^"#]+)/gm)].map((match) => match[1]!);
    fromLockfile(
      finding,
      yarn,
      urls.filter((url) => !replaced(url)),
      "package",
    );
  }
  const pnpm = readText(machine, join(machine.folder, "pnpm-lock.yaml"));
  if (pnpm !== null) {
    const urls = [...pnpm.text.matchAll(/\btarball: ['"]?([^\s'",}]+)/g)].map((match) => match[1]!);
    fromLockfile(finding, pnpm, urls, "package");
  }
  return finding;
}

function configuration(machine: Machine, finding: Finding): Configuration {
  const set = settingsOf(machine);
  if (set === null) return fromFiles(machine, finding);
  const registries: (readonly [string, string, string])[] = set.flatMap(({ key, value, origin }) =>
    isRegistry(key) ? [[key, value, `${key} (${origin})`]] : [],
  );
  if (!registries.some(([key]) => key === "registry")) {
    const asked = ask(machine, machine.folder, "npm", ["config", "get", "registry"])!.trim();
    if (asked !== "") registries.unshift(["registry", asked, "npm's own default: npm config get registry"]);
  }
  for (const { value } of set.filter(({ key }) => key === "https-proxy" || key === "proxy")) {
    finding.missing.push(`npm goes through the proxy ${shown(value)}, which is not in this list`);
  }
  return { registries, replace: set.find(({ key }) => key === "replace-registry-host")?.value ?? usual };
}

/** A setting and where npm says it is from. */
interface Setting {
  readonly key: string;
  readonly value: string;
  readonly origin: string;
}

/**
 * What npm says is set for the project. A key in a `.npmrc` may hold a line break, and so write a heading of its own that says
 * “user”: what npm does not say outside of the project, too, is the project's.
 */
function settingsOf(machine: Machine): Setting[] | null {
  const text = ask(machine, machine.folder, "npm", ["config", "list"]);
  if (text === null) return null;
  const elsewhere = new Set(
    listed(machine, ask(machine, "/", "npm", ["config", "list"])!).map(({ key, value }) => `${key} ${value}`),
  );
  const project = `${projectPrefix}.npmrc`;
  return listed(machine, text).map(({ key, value, origin }) => ({
    ...{ key, value },
    origin: origin.startsWith(projectPrefix) || elsewhere.has(`${key} ${value}`) ? origin : project,
  }));
}

/** `npm config list` with the file each setting is from: `; "project" config from FILE` stands above the settings. */
function listed(machine: Machine, text: string): Setting[] {
  let origin = "npm config";
  return text.split("\n").flatMap((line) => {
    const head = /^; "(\w+)" config from (.*)$/.exec(line);
    if (head !== null) origin = head[1] === "env" ? "the environment" : nameOf(machine, head[2]!.trim());
    const pair = /^(\S+) = "(.*)"\s*$/.exec(line);
    return pair === null ? [] : [{ key: pair[1]!, value: pair[2]!, origin }];
  });
}

const isRegistry = (key: string): boolean => key === "registry" || /^@[^:]+:registry$/.test(key);

/** The files npm would read, the nearer one first, where npm itself is not there to ask. */
function fromFiles(machine: Machine, finding: Finding): Configuration {
  const paths = [join(machine.folder, ".npmrc"), join(machine.home, ".npmrc"), join(machine.root, "etc/npmrc")];
  const seen = new Map<string, readonly [string, string, string]>();
  const named = machine.environment["npm_config_registry"] ?? machine.environment["NPM_CONFIG_REGISTRY"];
  if (named !== undefined) seen.set("registry", ["registry", named, "npm_config_registry in the environment"]);
  for (const path of paths) {
    const file = readText(machine, path);
    for (const [, key, value] of file?.text.matchAll(/^\s*((?:@[^:\s=]+:)?registry)\s*=\s*(\S+)/gm) ?? []) {
      if (seen.has(key!)) continue;
      if (value!.includes("${")) finding.missing.push(`${file!.name}: ${shown(value!)} is for npm to read`);
      else seen.set(key!, [key!, value!, placeOf(file!, value!, key!)]);
    }
  }
  return { registries: [...seen.values()], replace: usual };
}

/**
 * npm asks the configured registry for packages that a lockfile has from the public one, or from any (`replace-registry-host`).
 * The public one is what npm asks when nothing is configured.
 */
function replacedBy(registry: string, replace: string, machine: Machine, finding: Finding): (url: string) => boolean {
  if (replace === "never") return () => false;
  const hostOf = (text: string): string | null => {
    const url = readUrl(text);
    return url === null || url === "local" ? null : url.host;
  };
  const own = hostOf(registry);
  // Neither `always` nor a host: the public registry, by a name that is npm's own. Asked once, and only where it matters.
  let other: string | null | undefined = replace.includes(".") || replace === "always" ? replace : undefined;
  const publicHost = (): string | null => {
    const given = Object.keys(machine.environment).filter((name) => /^npm_config_/i.test(name));
    const args = ["config", "get", "registry", "--userconfig=/nonexistent/user", "--globalconfig=/nonexistent/global"];
    const said = ask(machine, "/", "npm", args, Object.fromEntries(given.map((name) => [name, undefined])));
    return said === null ? null : hostOf(said.trim());
  };
  let told = false;
  return (url) => {
    const host = hostOf(url);
    if (host === null || host === own) return false;
    if (other === undefined) other = publicHost();
    const isReplaced = replace === "always" || host === other;
    if (isReplaced && !told) {
      told = true;
      finding.notes.push(
        `packages that the lockfile has from ${host} are fetched from ${own}, as npm's replace-registry-host has it`,
      );
    }
    return isReplaced;
  };
}

/** Every `resolved` of a lockfile, of versions 1 to 3; null where it is no JSON. */
export function resolvedOf(text: string): string[] | null {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return null;
  }
  const out: string[] = [];
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== "object" || value === null) continue;
    const { packages, dependencies, resolved, link } = value as Record<string, unknown>;
    if (typeof resolved === "string" && link !== true) out.push(resolved);
    for (const map of [packages, dependencies]) {
      if (typeof map !== "object" || map === null) continue;
      for (const each of Object.values(map).toReversed()) pending.push(each);
    }
  }
  return out;
}
