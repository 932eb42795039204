/** Maven: mirrors and repositories of settings.xml and of the project's POM. */
import { join } from "node:path";
import { SaxesParser } from "saxes";
import { presetHosts } from "../policy/presets.ts";
import { Finding, placeOf, shown } from "./finding.ts";
import { readText } from "./machine.ts";
import type { Machine, Text } from "./machine.ts";

/** One element with text, by the names that lead to it: `settings/mirrors/mirror`. */
export interface Block {
  readonly path: string;
  readonly values: Map<string, string>;
}

interface Repository {
  readonly id: string;
  readonly url: string;
  readonly why: string;
}

const maxDepth = 64;

/** What Maven needs here. */
export function findMaven(machine: Machine): Finding {
  const finding = new Finding();
  const home = machine.environment["MAVEN_HOME"] ?? machine.environment["M2_HOME"];
  const paths = [
    ...(home === undefined ? [join(machine.root, "etc/maven")] : [join(home, "conf")]).map((folder) =>
      join(folder, "settings.xml"),
    ),
    join(machine.home, ".m2/settings.xml"),
    join(machine.folder, ".mvn/settings.xml"),
    join(machine.folder, "pom.xml"),
  ];
  const mirrors: (Repository & { of: readonly string[]; blocked: boolean })[] = [];
  const repositories: Repository[] = [];
  for (const path of paths) {
    const file = readText(machine, path);
    for (const { path: at, values } of file === null ? [] : readXml(file, finding)) {
      const [id, url] = [values.get("id") ?? "", values.get("url")];
      if (url === undefined) continue;
      if (url.includes("${")) finding.missing.push(`${placeOf(file!, url, id)}: ${shown(url)} has a property in it`);
      else if (at.endsWith("mirrors/mirror")) {
        const of = (values.get("mirrorOf") ?? "").split(",").map((each) => each.trim());
        mirrors.push({
          id,
          url,
          why: placeOf(file!, url, `mirror ${id}`),
          of,
          blocked: values.get("blocked") === "true",
        });
      } else if (
        /(?:repositories\/repository|pluginRepositories\/pluginRepository)$/.test(at) &&
        !at.includes("distributionManagement")
      ) {
        repositories.push({ id, url, why: placeOf(file!, url, `repository ${id}`) });
      }
    }
  }
  // The user's file comes after the machine's, and its mirrors are asked first.
  const mirrorFor = (id: string, url: string) => mirrors.toReversed().find(({ of }) => fits(of, id, url)) ?? null;
  const [central] = presetHosts("maven");
  if (finding.isBroken) return finding;
  const all = [{ id: "central", url: `https://${central!.host}/maven2`, why: central!.reason }, ...repositories];
  // A repository called central stands for Maven Central.
  const own = repositories.some(({ id }) => id === "central") ? repositories : all;
  const found = own.map((each) => ({ ...each, mirror: mirrorFor(each.id, each.url) }));
  // Nothing but what Maven asks by itself: the built-in list says it.
  if (repositories.length === 0 && found[0]!.mirror === null) {
    finding.asksBuiltIn = true;
    return finding;
  }
  for (const { id, url, why, mirror } of found) {
    if (mirror?.blocked === true) {
      finding.notes.push(`${id} is blocked: ${mirror.why}`);
      continue;
    }
    finding.url((mirror ?? { url }).url, mirror === null ? why : `${mirror.why}, in place of ${id}`);
  }
  return finding;
}

/** `mirrorOf`: names, `*`, `external:*` (not on this host, not a file), `external:http:*`, and `!name`. */
function fits(of: readonly string[], id: string, url: string): boolean {
  if (of.includes(`!${id}`)) return false;
  const isExternal = !/^file:|^https?:\/\/(?:localhost|127\.0\.0\.1)(?:[:/]|$)/.test(url);
  return of.some(
    (each) =>
      each === id ||
      each === "*" ||
      (each === "external:*" && isExternal) ||
      (each === "external:http:*" && isExternal && url.startsWith("http:")),
  );
}

/** Every element with an `url` and others beside it. Entities are XML's own five; a document type brings none. */
export function readXml({ name, text }: Text, finding: Finding): Block[] {
  const blocks: Block[] = [];
  const open: { name: string; text: string; values: Map<string, string> }[] = [];
  const parser = new SaxesParser();
  parser.on("opentag", (tag) => {
    if (open.length >= maxDepth) throw new RangeError("nested too deeply");
    open.push({ name: tag.name.replace(/^.*:/, ""), text: "", values: new Map() });
  });
  const add = (piece: string): void => {
    const last = open.at(-1);
    if (last !== undefined) last.text += piece;
  };
  parser.on("text", add);
  parser.on("cdata", add);
  parser.on("closetag", () => {
    const closed = open.pop()!;
    open.at(-1)?.values.set(closed.name, closed.text.trim());
    if (closed.values.has("url"))
      blocks.push({ path: [...open, closed].map((each) => each.name).join("/"), values: closed.values });
  });
  try {
    parser.write(text).close();
  } catch (error) {
    finding.broken(`${name} is no XML: ${shown((error as Error).message)}`);
    return [];
  }
  return blocks;
}
