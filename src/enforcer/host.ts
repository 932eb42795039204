/** The kernel settings that the data path relies on, with their former values kept in the state directory. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { inNamespace } from "../kernel/namespace.ts";
import { readSysctl } from "../kernel/sysctl.ts";
import { enableForwarding, Settings } from "../kernel/settings.ts";

/** Connection tracking as the data path relies on it. */
const tracking: readonly (readonly [string, string])[] = [
  // Bytes per connection.
  ["net/netfilter/nf_conntrack_acct", "1"],
  // Ends are told for connections from before this process, too.
  ["net/netfilter/nf_conntrack_events", "1"],
  // A packet in the middle of an unknown connection is INVALID, not a new connection (threat T7).
  ["net/netfilter/nf_conntrack_tcp_loose", "0"],
  // Bad checksums and bytes outside the window are INVALID: the server would not see them (insertion).
  ["net/netfilter/nf_conntrack_checksum", "1"],
  ["net/netfilter/nf_conntrack_tcp_be_liberal", "0"],
  // The kernel's answers to refused packets must not carry the refusing mark, or they are dropped as well.
  ["net/ipv4/fwmark_reflect", "0"],
  ["net/ipv6/fwmark_reflect", "0"],
];

export class HostSettings {
  readonly #file: string;
  readonly #settings: Settings;
  readonly #namespace: string | null;

  constructor(state: string, namespace: string | null) {
    this.#file = join(state, "host.json");
    this.#settings = new Settings(this.#file);
    this.#namespace = namespace;
  }

  /** Has the host (or namespace) track connections strictly. A kernel that does not track yet has nothing to set. */
  track(): void {
    this.#within(() => {
      for (const [name, value] of tracking) this.#settings.set(name, value);
    });
  }

  /** Settings of {@link track} that are not as they were set, in words. A kernel that lacks one has nothing to say. */
  changed(): string[] {
    return this.#within(() =>
      tracking.flatMap(([name, value]) => {
        const found = readSysctl(name);
        return found === null || found === value ? [] : [`${name.replaceAll("/", ".")} is ${found}, not ${value}`];
      }),
    );
  }

  /** Makes it a router, too. Call with the ruleset in place. */
  forward(): void {
    this.track();
    this.#within(() => enableForwarding(this.#settings));
  }

  /** Puts back what was there before. */
  restore(): void {
    this.#within(() => this.#settings.restore());
  }

  /** The place is gone, and its settings with it: what is kept of them must not be put back anywhere else. */
  forget(): void {
    try {
      rmSync(this.#file, { force: true });
    } catch {
      // A disk that became read-only: a stop must not end here. Nothing puts them back in a place that is gone.
    }
  }

  #within<T>(fn: () => T): T {
    return this.#namespace === null ? fn() : inNamespace(this.#namespace, fn);
  }
}
