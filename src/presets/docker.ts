/** Docker: mirrors of the daemon's settings, and the registries that images of the project's Dockerfiles come from. */
import { join } from "node:path";
import { presetHosts } from "../policy/presets.ts";
import { Finding, placeOf, shown } from "./finding.ts";
import { readText, readTexts } from "./machine.ts";
import type { Machine } from "./machine.ts";

/** What pulling images needs here. */
export function findDocker(machine: Machine): Finding {
  const finding = new Finding();
  const mirrors = mirrorsOf(machine, finding);
  const registries = new Map<string, string>();
  for (const file of readTexts(machine, machine.folder, /^(?:.*\.)?(?:Dockerfile|Containerfile)(?:\..*)?$/)) {
    for (const [image, registry] of imagesOf(file.text)) {
      if (!registries.has(registry)) registries.set(registry, placeOf(file, image, `FROM ${image}`));
    }
  }
  const hub = "docker.io";
  for (const [registry, why] of registries) if (registry !== hub) finding.url(`https://${registry}`, why);
  const needsHub = registries.size === 0 || registries.has(hub);
  if (mirrors.length > 0) {
    if (needsHub) for (const { url, why } of mirrors) finding.url(url, why);
    if (needsHub) finding.notes.push("Docker asks Docker Hub where a mirror fails; that stays closed");
  } else if (needsHub && finding.found.length === 0) {
    finding.asksBuiltIn = !finding.isBroken;
  } else if (needsHub && !finding.isBroken) {
    for (const { host, reason } of presetHosts("docker")) finding.host(host, 443, "tls", reason);
  }
  if (registries.has("ghcr.io")) finding.notes.push("layers of ghcr.io come from another host: add the preset ghcr");
  return finding;
}

function mirrorsOf(machine: Machine, finding: Finding): { url: string; why: string }[] {
  const file = readText(machine, join(machine.root, "etc/docker/daemon.json"));
  if (file === null || file.text.trim() === "") return [];
  let settings: unknown;
  try {
    settings = JSON.parse(file.text);
  } catch {
    finding.broken(`${file.name} is no JSON`);
    return [];
  }
  const urls =
    typeof settings === "object" && settings !== null
      ? (settings as Record<string, unknown>)["registry-mirrors"]
      : null;
  if (!Array.isArray(urls)) return [];
  return urls.flatMap((url) => {
    if (typeof url === "string")
      return [{ url: /^\w+:\/\//.test(url) ? url : `https://${url}`, why: placeOf(file, url, "registry-mirrors") }];
    finding.missing.push(`${file.name}: ${shown(JSON.stringify(url))} is no mirror`);
    return [];
  });
}

/** Images that stages are from, with their registry; a name of an earlier stage and `scratch` are none. */
export function imagesOf(text: string): [image: string, registry: string][] {
  const stages = new Set<string>(["scratch"]);
  const images: [string, string][] = [];
  for (const [, image, stage] of text.matchAll(/^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?/gim)) {
    if (!stages.has(image!.toLowerCase()) && !image!.includes("$")) images.push([image!, registryOf(image!)]);
    if (stage !== undefined) stages.add(stage.toLowerCase());
  }
  return images;
}

/** The part before the first slash is a registry where it has a dot or a port, or is localhost (distribution's reference.go). */
function registryOf(image: string): string {
  const [first, rest] = [image.split("/")[0]!, image.includes("/")];
  if (!rest || !(/[.:]/.test(first) || first === "localhost")) return "docker.io";
  return first === "index.docker.io" ? "docker.io" : first;
}
