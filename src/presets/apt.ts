/**
 * apt: the hosts of its sources, in both forms (sources.list(5)). There is no built-in list: which mirror a machine uses is
 * written on the machine.
 */
import { join } from "node:path";
import { Finding, placeOf, shown } from "./finding.ts";
import { readText, readTexts } from "./machine.ts";
import type { Machine, Text } from "./machine.ts";

/** One source. */
export interface Source {
  readonly uri: string;
  readonly file: Text;
}

/** What apt needs here. */
export function findApt(machine: Machine): Finding {
  const finding = new Finding();
  const folder = join(machine.root, "etc/apt");
  const list = readText(machine, join(folder, "sources.list"));
  const lists = [...(list === null ? [] : [list]), ...readTexts(machine, join(folder, "sources.list.d"), /\.list$/)];
  const stanzas = readTexts(machine, join(folder, "sources.list.d"), /\.sources$/);
  const sources = [...lists.flatMap(oneLine), ...stanzas.flatMap(deb822)];
  for (const { uri, file } of sources) {
    if (/^mirror[+:]/.test(uri))
      finding.missing.push(`${placeOf(file, uri, "a mirror list")}: which hosts it names is known only to apt`);
    else finding.url(uri.replace(/^tor\+/, ""), placeOf(file, uri, "a source"));
  }
  const settings = [
    ...readTexts(machine, join(folder, "apt.conf.d"), /^[\w.-]*$/),
    ...[readText(machine, join(folder, "apt.conf"))].filter((file) => file !== null),
  ];
  for (const file of settings) {
    const proxy = /^\s*Acquire::https?::Proxy\s+"([^"]+)"/im.exec(file.text);
    if (proxy !== null && proxy[1] !== "DIRECT") {
      finding.missing.push(
        `${placeOf(file, proxy[1]!, "a proxy")}: apt goes through ${shown(proxy[1]!)}, which is not in this list`,
      );
    }
  }
  if (sources.length === 0)
    finding.missing.push("nothing names apt's sources: there is no sources.list and no file in sources.list.d");
  return finding;
}

/** `deb [options] uri suite component…`. */
export function oneLine(file: Text): Source[] {
  return [...file.text.matchAll(/^[ \t]*deb(?:-src)?[ \t]+(?:\[[^\]\n]*\][ \t]*)?(\S+)/gm)].map((match) => ({
    uri: match[1]!,
    file,
  }));
}

/** Stanzas of fields; a line that starts with a space goes on. A disabled stanza says nothing. */
export function deb822(file: Text): Source[] {
  const lines = file.text.split("\n").filter((line) => !line.startsWith("#"));
  return lines
    .join("\n")
    .split(/\n[ \t]*\n/)
    .flatMap((stanza) => {
      if (/^Enabled:[ \t]*no\b/im.test(stanza)) return [];
      const uris = /^URIs:(.*(?:\n[ \t]+.*)*)/im.exec(stanza)?.[1] ?? "";
      return uris
        .split(/\s+/)
        .filter((uri) => uri !== "")
        .map((uri) => ({ uri, file }));
    });
}
