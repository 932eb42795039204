/**
 * Kernel settings changed for a while: each former value is in a file before the new one is in the kernel, so that a later
 * process can put it back even when this one was killed. Acts on the namespace of the calling thread.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { listSysctl, readSysctl, writeSysctl } from "./sysctl.ts";

export class Settings {
  readonly #file: string;
  readonly #saved: Record<string, string>;

  constructor(file: string) {
    this.#file = file;
    this.#saved = read(file);
  }

  /** Sets a value; the first former value is the one that is put back. A setting this kernel lacks is left alone. */
  set(name: string, value: string): void {
    const found = readSysctl(name);
    if (found === null || found === value) return;
    this.remember(name);
    writeSysctl(name, value);
  }

  /** Notes a value that another setting is about to overwrite. */
  remember(name: string): void {
    const found = readSysctl(name);
    if (found === null || this.#saved[name] !== undefined) return;
    this.#saved[name] = found;
    // Whole or not at all: a process killed while writing must not lose what an earlier one saved.
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#saved), { mode: 0o600, flush: true });
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** The value that was there before it was changed; undefined where it was not. */
  former(name: string): string | undefined {
    return this.#saved[name];
  }

  /** Puts everything back. What is gone meanwhile (an interface) is passed over. */
  restore(): void {
    // `all` overwrites the interfaces' own values, so it goes first.
    const rank = (name: string) => (name.includes("/all/") ? 0 : name.includes("/default/") ? 1 : 2);
    for (const [name, value] of Object.entries(this.#saved).toSorted(([a], [b]) => rank(a) - rank(b))) {
      if (readSysctl(name) !== null && readSysctl(name) !== value) writeSysctl(name, value);
      delete this.#saved[name];
    }
    try {
      rmSync(this.#file, { force: true });
    } catch {
      // A disk that became read-only: what is in the kernel is as it was, and a later stop puts back the same once more.
    }
  }
}

/**
 * Switches forwarding on. IPv4 per interface: `ip_forward` would also reset settings that have nothing to do with us. IPv6
 * has one switch for all interfaces; those that learn their routes from router advertisements would forget them as they
 * become routers (RFC 4861 section 6.3.4 is for hosts), so they are told to keep listening first.
 */
export function enableForwarding(settings: Settings, families: readonly (4 | 6)[] = [4, 6]): void {
  if (families.includes(4)) {
    for (const each of listSysctl("net/ipv4/conf").filter(isInterface))
      settings.set(`net/ipv4/conf/${each}/forwarding`, "1");
  }
  if (!families.includes(6)) return;
  for (const each of listSysctl("net/ipv6/conf").filter(isInterface)) {
    if (readSysctl(`net/ipv6/conf/${each}/accept_ra`) === "1") settings.set(`net/ipv6/conf/${each}/accept_ra`, "2");
    settings.remember(`net/ipv6/conf/${each}/forwarding`);
  }
  settings.remember("net/ipv6/conf/default/forwarding");
  settings.set("net/ipv6/conf/all/forwarding", "1");
}

function isInterface(name: string): boolean {
  return name !== "all" && name !== "default" && name !== "lo";
}

/** No file is nothing saved; one that cannot be read is not, or former values would be lost without a word. */
function read(file: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    const text = `${file}, which keeps the host's former settings, cannot be read: ${(error as Error).message}`;
    throw new SallyportError("STATE_UNWRITABLE", text, { file }, error);
  }
}
