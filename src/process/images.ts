/**
 * The image that a container was made from, by what its engine keeps on disk: docker's own record, or containers-storage, which
 * podman and buildah use. Without asking an engine: its socket is the job's to talk to, and may not answer.
 */
import { closeSync, openSync, readSync } from "node:fs";

const DOCKER = "/var/lib/docker/containers";
const STORAGE = "/var/lib/containers/storage/overlay-containers/containers.json";
const MOST = 4 * 1024 * 1024;
const REMEMBERED = 1024;
const LONGEST = 512;
/** An engine may write its record just after the container's first process started, ms. */
const AGAIN = 2000;

const known = new Map<string, { image: string | null; until: number }>();

/** The image's name as it was asked for; null where it is not to be read. Synchronous; remembered. */
export function imageOf(container: string): string | null {
  const now = performance.now();
  const before = known.get(container);
  if (before !== undefined && now < before.until) return before.image;
  const image = look(container);
  known.delete(container);
  known.set(container, { image, until: image === null ? now + AGAIN : Number.POSITIVE_INFINITY });
  if (known.size > REMEMBERED) known.delete(known.keys().next().value!);
  return image;
}

function look(container: string): string | null {
  if (!/^[\w.-]{1,128}$/.test(container) || container.startsWith(".")) return null;
  const docker = read(`${DOCKER}/${container}/config.v2.json`);
  if (docker !== null) return parseDockerImage(docker);
  const storage = read(STORAGE);
  return storage === null ? null : parseStoredImage(storage, container);
}

/** The image in docker's `config.v2.json`. */
export function parseDockerImage(text: string): string | null {
  const config = field(parse(text), "Config");
  return name(field(config, "Image"));
}

/** The image of a container in containers-storage's `containers.json`: its metadata are JSON once more. */
export function parseStoredImage(text: string, container: string): string | null {
  const list = parse(text);
  if (!Array.isArray(list)) return null;
  const entry: unknown = list.find((each: unknown) => field(each, "id") === container);
  const metadata = field(entry, "metadata");
  return typeof metadata === "string" ? name(field(parse(metadata), "image-name")) : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function field(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

function name(value: unknown): string | null {
  return typeof value === "string" && value.length > 0 && value.length <= LONGEST ? value : null;
}

function read(path: string): string | null {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return null;
  }
  try {
    const bytes = Buffer.alloc(MOST);
    const length = readSync(fd, bytes, 0, MOST, 0);
    return length === MOST ? null : bytes.toString("utf8", 0, length);
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
