/**
 * What a job may change and should not go unseen: how names are resolved, and by which ways packets leave. Each change is an event of the
 * record and no failure: DNS ends at our firewall whatever resolv.conf says, and what leaves by a new device is decided like all else.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defaultDevices, devices } from "../kernel/devices.ts";

export interface Change {
  message: string;
  data: Record<string, unknown>;
}

const files = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];
/** The kernel is asked this often at most, ms. */
const networkMs = 4_000;
/** A file that changes all the time is told so often. */
const mostTold = 20;

export class Changes {
  readonly #uplinks: readonly string[];
  #before: ReadonlyMap<string, string>;
  readonly #told = new Map<string, number>();
  #network = new Map<string, string>();
  #networkAt = Number.NEGATIVE_INFINITY;

  constructor(uplinks: readonly string[]) {
    this.#uplinks = uplinks;
    this.#before = this.#look();
  }

  /** Since the last time. */
  since(): Change[] {
    const now = this.#look();
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
    const found = new Map<string, string>();
    for (const file of files) found.set(file, digestOf(file));
    const now = performance.now();
    if (now - this.#networkAt >= networkMs) {
      this.#networkAt = now;
      this.#network = this.#lookAtNetwork();
    }
    for (const [what, value] of this.#network) found.set(what, value);
    return found;
  }

  #lookAtNetwork(): Map<string, string> {
    const found = new Map<string, string>();
    for (const device of defaultDevices()) found.set(`route default by ${device}`, device);
    for (const { name, kind, lower } of devices())
      if (lower !== null && this.#uplinks.includes(lower))
        found.set(`device ${name}`, `${kind ?? "device"} on ${lower}`);
    return found;
  }
}

function digestOf(file: string): string {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch {
    return "none";
  }
}
