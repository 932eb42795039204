/**
 * Finds what a container was made with, on disk: the bundle that its runtime was told to run, or what its engine wrote down. No engine
 * is asked: its socket may be the job's. The files may be the job's as well (a bundle of its own), so nothing is waited
 * for, and what is no plain file is not read.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { type ContainerDanger, dangersOfBundle, dangersOfHostConfig, type Surroundings } from "../detect/containers.ts";

/** Programs that people call. */
export const engines: readonly string[] = ["docker", "podman", "nerdctl", "docker-compose", "buildah"];

const most = 4 * 1024 * 1024;

export function surroundings(sensitive: readonly string[]): Surroundings {
  return {
    sensitive,
    resolve: (path) => {
      try {
        return realpathSync(path);
      } catch {
        return path;
      }
    },
    isHost: (type, path) => {
      const name = type === "network" ? "net" : type === "mount" ? "mnt" : type;
      try {
        return statSync(path).ino === statSync(`/proc/self/ns/${name}`).ino;
      } catch {
        return false;
      }
    },
  };
}

/** A container that a runtime was told to make. */
export interface RuntimeCall {
  id: string | null;
  /** As the runtime sees it. */
  bundle: string;
}

/** Options of runtimes that take a value, before and after the command. */
const valued =
  /^(?:--?(?:root|log|log-format|log-level|criu|cgroup-manager|rootless|console-socket|pid-file|preserve-fds|bundle|b|config|f|platform|network|debug-log))$/;

/** What a runtime's command line makes; null where it makes nothing. Its working folder is the bundle where it says none. */
export function runtimeCall(args: readonly string[], workingFolder: string): RuntimeCall | null {
  let bundle: string | null = null;
  const words: string[] = [];
  for (let i = 1; i < args.length; i++) {
    const each = args[i]!;
    const inline = /^--?(?:bundle|b)=(.*)$/.exec(each);
    if (inline !== null) bundle = inline[1]!;
    else if (valued.test(each)) {
      if (/^--?(?:bundle|b)$/.test(each)) bundle = args[i + 1] ?? null;
      i++;
    } else if (!each.startsWith("-")) words.push(each);
  }
  const [command, id = null] = words;
  if (command !== "create" && command !== "run" && command !== "restore") return null;
  return { id, bundle: resolve(workingFolder, bundle ?? ".") };
}

/** The folder that a process works in; null where it is gone. */
export function workingFolder(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null;
  }
}

/** What a bundle gives away; null where it cannot be read. `pid` sees it, perhaps in a mount namespace of its own. */
export function dangersOfBundleAt(bundle: string, pid: number, around: Surroundings): ContainerDanger[] | null {
  const config = readJson(`/proc/${pid}/root${bundle}/config.json`) ?? readJson(join(bundle, "config.json"));
  return config === undefined ? null : dangersOfBundle(config, around);
}

const docker = "/var/lib/docker/containers";
const tasks = "/run/containerd/io.containerd.runtime.v2.task";
/** Where podman, crun and runc keep what they run, by its id. */
const bundles: readonly ((id: string) => string)[] = [
  (id) => `/var/lib/containers/storage/overlay-containers/${id}/userdata/config.json`,
  (id) => `/run/containers/storage/overlay-containers/${id}/userdata/config.json`,
  (id) => `/run/crun/${id}/config.json`,
];

/** What is on disk of a container that runs; null where nothing is found. */
export function dangersOfContainer(id: string, around: Surroundings): ContainerDanger[] | null {
  if (!/^[\w.-]{1,128}$/.test(id) || id.startsWith(".")) return null;
  const host = readJson(`${docker}/${id}/hostconfig.json`);
  const files = [
    ...namespacesOf(tasks).map((each) => join(tasks, each, id, "config.json")),
    ...bundles.map((at) => at(id)),
  ];
  const config = files.map(readJson).find((each) => each !== undefined);
  if (host === undefined && config === undefined) return null;
  const found = host === undefined ? [] : dangersOfHostConfig(host, around);
  for (const each of config === undefined ? [] : dangersOfBundle(config, around))
    if (!found.some(({ kind, what }) => kind === each.kind && what === each.what)) found.push(each);
  return found;
}

function namespacesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Undefined where there is none, or it is not to be read. */
function readJson(path: string): unknown {
  let fd: number;
  try {
    // A pipe in its place must not hold us up.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > most) return undefined;
    const bytes = Buffer.alloc(stat.size);
    return JSON.parse(bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, 0))) as unknown;
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
