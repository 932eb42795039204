/**
 * What a job may change and should not go unseen: how names are resolved, and by which ways packets leave. Each change is an event of the
 * record and no failure: DNS ends at our firewall whatever resolv.conf says, and what leaves by a new device is decided like all else.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { run } from "../kernel/commands.ts";
import { routes } from "../kernel/interfaces.ts";

export interface Change {
  message: string;
  data: Record<string, unknown>;
}

const files = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];
/** `ip` is asked this often at most, ms: it is a program to start. */
const networkMs = 4_000;
/** A file that changes all the time is told so often. */
const mostTold = 20;

export class Changes {
  readonly #uplinks: readonly string[];
  #before: ReadonlyMap<string, string>;
  readonly #told = new Map<string, number>();
  #network: Map<string, string> | null = null;
  #networkAt = Number.NEGATIVE_INFINITY;

  /** Of files what they are now counts; of the network what the first {@link since} finds, since it takes programs to ask. */
  constructor(uplinks: readonly string[]) {
    this.#uplinks = uplinks;
    this.#before = digests();
  }

  /** Since the last time. */
  since(): Change[] {
    const isFirst = this.#network === null;
    const now = this.#look();
    if (isFirst) this.#before = new Map([...now, ...this.#before]);
    const changes: Change[] = [];
    for (const [what, value] of now) {
      const before = this.#before.get(what);
      if (before === value || (before === undefined && what.startsWith("/"))) continue;
      const told = (this.#told.get(what) ?? 0) + 1;
      this.#told.set(what, told);
      if (told > mostTold || this.#told.size > 1_000) continue;
      if (what.startsWith("/")) changes.push({ message: `${what} was changed`, data: { file: what, sha256: value } });
      else changes.push({ message: `${what} came: ${value}`, data: { [what.split(" ")[0]!]: value } });
    }
    this.#before = now;
    return changes;
  }

  /** What there is, with what tells it from what it was. */
  #look(): Map<string, string> {
    const found = digests();
    const now = performance.now();
    if (this.#network === null || now - this.#networkAt >= networkMs) {
      this.#networkAt = now;
      this.#network = this.#lookAtNetwork();
    }
    for (const [what, value] of this.#network) found.set(what, value);
    return found;
  }

  #lookAtNetwork(): Map<string, string> {
    const found = new Map<string, string>();
    for (const { destination, device } of routes())
      if (destination === "default" && device !== null) found.set(`route default by ${device}`, device);
    for (const { name, kind, parent } of parents())
      if (this.#uplinks.includes(parent)) found.set(`device ${name}`, `${kind} on ${parent}`);
    return found;
  }
}

/** Devices that send by another one (macvlan, ipvlan, VLANs). */
function parents(): { name: string; kind: string; parent: string }[] {
  const rows = JSON.parse(run("ip", ["-j", "-d", "link", "show"])) as {
    ifname?: string;
    link?: string;
    linkinfo?: { info_kind?: string };
  }[];
  return rows.flatMap(({ ifname, link, linkinfo }) =>
    ifname === undefined || link === undefined
      ? []
      : [{ name: ifname, kind: linkinfo?.info_kind ?? "device", parent: link }],
  );
}

function digests(): Map<string, string> {
  return new Map(files.map((file) => [file, digestOf(file)]));
}

function digestOf(file: string): string {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch {
    return "none";
  }
}
