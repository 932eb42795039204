/** pip and uv: the indexes that their settings name, and the hosts that lockfiles have files from. */
import { join } from "node:path";
import { presetHosts } from "../policy/presets.ts";
import { Finding, fromLockfile, placeOf, shown } from "./finding.ts";
import { readIni } from "./ini.ts";
import { readText } from "./machine.ts";
import type { Machine, Text } from "./machine.ts";
import { readToml, tableOf, tablesOf, textsOf } from "./toml.ts";

/** A named index. `main`: asked in place of the built-in one. */
interface Index {
  readonly url: string;
  readonly why: string;
  readonly main: boolean;
}

/** What pip and uv need here. */
export function findPypi(machine: Machine): Finding {
  const finding = new Finding();
  const indexes = [
    ...fromEnvironment(machine),
    ...fromPip(machine),
    ...fromUv(machine, finding),
    ...fromRequirements(machine, finding),
  ];
  for (const { url, why } of indexes) finding.url(url, why);
  fromLocks(machine, finding);
  const isAlone = !indexes.some(({ main }) => main);
  const asksPublic = finding.found.some(({ host }) => host === "pypi.org");
  if (finding.isBroken) return finding;
  finding.asksBuiltIn = isAlone && finding.found.length === 0;
  if (!finding.asksBuiltIn && (isAlone || asksPublic)) {
    for (const { host, reason } of presetHosts("pypi"))
      finding.host(host, 443, "tls", isAlone ? `${reason} (no main index is configured)` : reason);
  }
  return finding;
}

const mainNames = ["PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"];
const otherNames = ["PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS"];

function fromEnvironment({ environment }: Machine): Index[] {
  return [...mainNames, ...otherNames].flatMap((name) =>
    (environment[name] ?? "")
      .split(/\s+/)
      .filter((url) => url !== "")
      // uv: `name=URL`.
      .map((url) => ({
        url: url.replace(/^[\w-]+=(?=\w+:)/, ""),
        why: `${name} in the environment`,
        main: mainNames.includes(name),
      })),
  );
}

/** The files pip reads (its user guide, “Configuration”), and what a section of any command says. */
function fromPip(machine: Machine): Index[] {
  const { environment, home, root } = machine;
  const given = environment["PIP_CONFIG_FILE"];
  const paths = [
    join(root, "etc/xdg/pip/pip.conf"),
    join(root, "etc/pip.conf"),
    join(home, ".pip/pip.conf"),
    join(environment["XDG_CONFIG_HOME"] ?? join(home, ".config"), "pip/pip.conf"),
    ...(environment["VIRTUAL_ENV"] === undefined ? [] : [join(environment["VIRTUAL_ENV"], "pip.conf")]),
    ...(given === undefined || given === "/dev/null" ? [] : [given]),
  ];
  // PIP_CONFIG_FILE=/dev/null: pip reads no file at all.
  const files = given === "/dev/null" ? [] : paths.flatMap((path) => readText(machine, path) ?? []);
  return files.flatMap((file) =>
    readIni(file.text)
      .filter(({ key }) => ["index-url", "extra-index-url", "find-links"].includes(key.toLowerCase()))
      .flatMap(({ key, value }) =>
        value
          .split(/\s+/)
          .filter((url) => url !== "")
          .map((url) => ({ url, why: placeOf(file, url, key), main: key.toLowerCase() === "index-url" })),
      ),
  );
}

function fromUv(machine: Machine, finding: Finding): Index[] {
  const { home, root, environment, folder } = machine;
  const configured = join(environment["XDG_CONFIG_HOME"] ?? join(home, ".config"), "uv/uv.toml");
  const files = [join(root, "etc/uv/uv.toml"), configured, join(folder, "uv.toml"), join(folder, "pyproject.toml")];
  return files.flatMap((path) => {
    const file = readText(machine, path);
    const root = file === null ? null : readToml(file, finding);
    if (file === null || root === null) return [];
    const isProject = path.endsWith("pyproject.toml");
    const uv = isProject ? tableOf(tableOf(root, "tool"), "uv") : root;
    const poetry = isProject ? tablesOf(tableOf(tableOf(root, "tool"), "poetry"), "source") : [];
    return [
      ...uvIndexes(file, uv),
      ...uvIndexes(file, tableOf(uv, "pip")),
      ...poetry.flatMap((source) => poetryIndex(file, source)),
    ];
  });
}

type Table = ReturnType<typeof tableOf>;

function uvIndexes(file: Text, table: Table): Index[] {
  const index = (url: string, what: string, main: boolean): Index => ({ url, why: placeOf(file, url, what), main });
  return [
    ...textsOf(table, "index-url").map((url) => index(url, "index-url", true)),
    ...textsOf(table, "extra-index-url").map((url) => index(url, "extra-index-url", false)),
    ...textsOf(table, "find-links").map((url) => index(url, "find-links", false)),
    ...tablesOf(table, "index").flatMap((each) =>
      textsOf(each, "url").map((url) => index(url, "index", each["default"] === true)),
    ),
  ];
}

function poetryIndex(file: Text, source: Record<string, unknown>): Index[] {
  const priority = source["priority"] ?? "primary";
  return textsOf(source, "url").map((url) => ({
    url,
    why: placeOf(file, url, "source"),
    main: priority === "primary" || priority === "default",
  }));
}

function fromRequirements(machine: Machine, finding: Finding): Index[] {
  const file = readText(machine, join(machine.folder, "requirements.txt"));
  if (file === null) return [];
  for (const [, other] of file.text.matchAll(/^\s*(?:-r|--requirement)(?:\s+|=)(\S+)/gm))
    finding.missing.push(`${placeOf(file, other!, "another file")}: ${shown(other!)} is not read`);
  // `name @ URL`, or a URL alone.
  for (const [, url] of file.text.matchAll(/^(?:[^#\n]*?@\s*)?((?:git\+)?https?:\/\/\S+)/gm))
    finding.url(url!, placeOf(file, url!, "a package"));
  const options = /^\s*(-i|--index-url|--extra-index-url|-f|--find-links)(?:\s+|=)(\S+)/gm;
  return [...file.text.matchAll(options)].map(([, option, url]) => ({
    url: url!,
    why: placeOf(file, url!, option!),
    main: option === "-i" || option === "--index-url",
  }));
}

/** `url = "…"` of wheels and source archives in uv.lock; the registry of a package is an index. */
function fromLocks(machine: Machine, finding: Finding): void {
  const file = readText(machine, join(machine.folder, "uv.lock"));
  const root = file === null ? null : readToml(file, finding);
  if (file === null || root === null) return;
  const urls: string[] = [];
  const indexes: string[] = [];
  for (const each of tablesOf(root, "package")) {
    const source = tableOf(each, "source");
    indexes.push(...textsOf(source, "registry"));
    urls.push(...textsOf(source, "git"), ...textsOf(source, "url"), ...textsOf(tableOf(each, "sdist"), "url"));
    for (const wheel of tablesOf(each, "wheels")) urls.push(...textsOf(wheel, "url"));
  }
  fromLockfile(finding, file, indexes, "package");
  fromLockfile(finding, file, urls, "file");
}
