/**
 * Presets expanded: what the clients on this machine need, as a policy to read and keep. Nothing of it is looked up again
 * later: what is in the file is what is allowed, until somebody makes it anew and reads the difference.
 */
import { presetHosts, presetRef, presets } from "../policy/presets.ts";
import { findApt } from "./apt.ts";
import { findAws } from "./aws.ts";
import { findCargo } from "./cargo.ts";
import { findDocker } from "./docker.ts";
import { Finding } from "./finding.ts";
import type { Found } from "./finding.ts";
import { findGo } from "./go.ts";
import type { Machine } from "./machine.ts";
import { findMaven } from "./maven.ts";
import { findNpm } from "./npm.ts";
import { findPypi } from "./pypi.ts";

/**
 * Presets whose hosts are the machine's own. The number is the version of how they are found: it goes up when the same
 * configuration comes to other hosts.
 */
export const ecosystems = {
  npm: { version: 1, what: "npm's registries and lockfile; nothing built in", find: findNpm },
  pypi: { version: 1, what: "indexes of pip and uv, uv.lock; else PyPI", find: findPypi },
  go: { version: 1, what: "GOPROXY, GOSUMDB, private modules; else the Go project's", find: findGo },
  cargo: { version: 1, what: "sources and registries of Cargo, Cargo.lock; else crates.io", find: findCargo },
  maven: {
    version: 1,
    what: "mirrors and repositories of settings.xml and pom.xml; else Maven Central",
    find: findMaven,
  },
  apt: { version: 1, what: "hosts of apt's sources; nothing built in", find: findApt },
  docker: { version: 1, what: "mirrors of the daemon, registries of Dockerfiles; else Docker Hub", find: findDocker },
} as const;

type Ecosystem = keyof typeof ecosystems;

/** One preset, expanded. */
export interface Made {
  /** As a destination and a rule are called. */
  readonly name: string;
  /** What it is, with its version. */
  readonly title: string;
  /** A built-in list that a policy can refer to; null where the hosts are written out. */
  readonly reference: string | null;
  readonly found: readonly Found[];
  readonly notes: readonly string[];
  readonly missing: readonly string[];
}

/** Why a word names no preset. */
export interface MakeDefect {
  readonly message: string;
}

/** True for the failure arm of {@link makePreset}. */
export function isMakeDefect(value: Made | MakeDefect): value is MakeDefect {
  return "message" in value;
}

/** Expands `npm`, `github-actions` or `aws:eu-central-1:sts` for a machine; null: one where nothing is configured. */
export function makePreset(word: string, machine: Machine | null): Made | MakeDefect {
  const [, name, rest] = /^([^:]*)(?::(.*))?$/s.exec(word)!;
  if (name === "aws") {
    const finding = new Finding();
    const defect = findAws(rest ?? "", finding);
    if (defect !== null) return { message: defect };
    const region = rest!.split(":")[0]!;
    return {
      name: `aws ${region}`,
      title: `AWS in ${region}, version 1`,
      reference: null,
      found: finding.found,
      notes: [],
      missing: [],
    };
  }
  if (rest !== undefined) return { message: `“${name}” takes nothing behind a colon.` };
  if (Object.hasOwn(ecosystems, name!)) return makeEcosystem(name as Ecosystem, machine);
  if (!Object.hasOwn(presets, name!)) {
    return {
      message: `there is no preset “${name}”. Choose of: ${[...Object.keys(ecosystems), "github-actions", "ghcr", "aws:REGION:SERVICES"].join(", ")}.`,
    };
  }
  return { name: name!, title: presetRef(name!), ...builtIn(name!), notes: [], missing: [] };
}

function makeEcosystem(name: Ecosystem, machine: Machine | null): Made {
  const { version, find } = ecosystems[name];
  const finding = machine === null ? unknown(name) : find(machine);
  finding.tellProjects();
  const base = { name, title: `${name}, version ${version}`, notes: finding.notes, missing: finding.missing };
  if (!finding.asksBuiltIn) return { ...base, reference: null, found: finding.found };
  return { ...base, ...builtIn(name), notes: [...finding.notes, "no configuration names another host"] };
}

function unknown(name: Ecosystem): Finding {
  const finding = new Finding();
  finding.asksBuiltIn = Object.hasOwn(presets, name);
  if (!finding.asksBuiltIn)
    finding.missing.push(
      `its hosts are in the configuration of the machine: \`sallyport policy preset ${name}\` there`,
    );
  return finding;
}

function builtIn(name: string): Pick<Made, "reference" | "found"> {
  const found = presetHosts(name).map(({ host, reason }): Found => ({
    ...{ host, port: 443, protocol: "tls", why: reason, project: false },
  }));
  return { reference: presetRef(name), found };
}
