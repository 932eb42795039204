/**
 * Built-in lists of hosts, by name and version. A version never changes once it is released: a policy that says
 * `github-actions@1` means the same hosts with every later Sallyport, and a list grows only where somebody writes another
 * number and `policy diff` shows what it opens. Each host has a reason; each list is the least that works.
 */
import { githubActions } from "./preset-github-actions.ts";
import { nearest } from "./problem.ts";

/** One endpoint of a preset, on port 443, and why it is in it. */
export interface PresetHost {
  readonly host: string;
  readonly reason: string;
}

/** The versions of each preset: the first is version 1. */
export const presets: Readonly<Record<string, readonly (readonly PresetHost[])[]>> = {
  "github-actions": githubActions,
  // Clients of package registries, where no configuration of theirs names another (`sallyport policy preset`).
  pypi: [
    [
      { host: "pypi.org", reason: "the index that pip and uv ask when nothing else is configured" },
      { host: "files.pythonhosted.org", reason: "the files that the index links to" },
    ],
  ],
  go: [
    [
      { host: "proxy.golang.org", reason: "modules and toolchains: the default of GOPROXY" },
      { host: "sum.golang.org", reason: "checksums of modules: the default of GOSUMDB" },
    ],
  ],
  cargo: [
    [
      { host: "index.crates.io", reason: "the sparse index that Cargo asks by default" },
      { host: "static.crates.io", reason: "the crates that the index leads to" },
    ],
  ],
  maven: [[{ host: "repo.maven.apache.org", reason: "Maven Central, as every POM inherits it" }]],
  docker: [
    [
      { host: "registry-1.docker.io", reason: "Docker Hub: manifests, and layers by redirection" },
      { host: "auth.docker.io", reason: "tokens for Docker Hub, also for anonymous pulls" },
      { host: "production.cloudflare.docker.com", reason: "layers: one of the hosts that Docker Hub redirects to" },
      { host: "production.cloudfront.docker.com", reason: "layers: the other" },
    ],
  ],
  ghcr: [
    [
      { host: "ghcr.io", reason: "GitHub's container registry: manifests and tokens" },
      { host: "pkg-containers.githubusercontent.com", reason: "the layers that ghcr.io redirects to" },
    ],
  ],
};

/** Why a reference names no preset. */
export interface PresetDefect {
  readonly message: string;
  readonly fix: string;
}

/** True for the failure arm of {@link findPreset}. */
export function isPresetDefect(value: readonly PresetHost[] | PresetDefect): value is PresetDefect {
  return "message" in value;
}

/** The hosts of `name@version`. */
export function findPreset(reference: string): readonly PresetHost[] | PresetDefect {
  const [, name, version] = /^(.*?)(?:@(.*))?$/s.exec(reference)!;
  const versions = Object.hasOwn(presets, name!) ? presets[name!]! : null;
  if (versions === null) {
    const guess = nearest(name!, Object.keys(presets));
    const known = `Choose one of: ${Object.keys(presets).map(presetRef).join(", ")}; \`sallyport policy preset\` makes others from your configuration.`;
    return {
      message: `there is no preset named “${name}”`,
      fix: guess === null ? known : `Did you mean ${presetRef(guess)}? ${known}`,
    };
  }
  const hosts = /^[1-9][0-9]{0,5}$/.test(version ?? "") ? versions[Number(version) - 1] : undefined;
  if (hosts !== undefined) return hosts;
  const message =
    version === undefined ? `the preset “${name}” stands without its version` : `“${name}” has no version “${version}”`;
  return { message, fix: `Write ${presetRef(name!)}; \`sallyport policy preset ${name}\` shows its hosts.` };
}

/** `name@version` for the newest version of a preset that exists. */
export function presetRef(name: string): string {
  return `${name}@${presets[name]!.length}`;
}

/** The hosts of the newest version of a preset that exists. */
export function presetHosts(name: string): readonly PresetHost[] {
  return presets[name]!.at(-1)!;
}
