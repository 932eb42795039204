/**
 * A QUIC and HTTP/3 server for `quic.example` in the internet: the `gtlsserver` program of the Debian package
 * ngtcp2-server, one process per address because it answers from the address it is bound to.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Internet } from "./internet.ts";
import { runTool } from "./tools.ts";

/** The addresses of `quic.example`. */
export const quicAddresses = ["203.0.113.92", "2001:db8:200::92"] as const;

export class Quic {
  readonly #children: ChildProcess[];

  private constructor(children: ChildProcess[]) {
    this.#children = children;
  }

  /** Resolves when UDP port 443 is bound on every address. */
  static async start(namespace: string, internet: Internet, directory: string): Promise<Quic> {
    const htdocs = join(directory, "htdocs");
    await mkdir(htdocs);
    await writeFile(join(htdocs, "index.html"), "answered by quic.example\n");
    const { keyFile, certFile } = await internet.call("certificate", { name: "quic.example" });
    const children = quicAddresses.map((address) =>
      spawn(
        "setpriv",
        [
          ...["--pdeathsig", "KILL", "ip", "netns", "exec", namespace],
          ...["gtlsserver", "--quiet", "--htdocs", htdocs, address, "443", keyFile, certFile],
        ],
        { stdio: "ignore" },
      ),
    );
    const quic = new Quic(children);
    for (let i = 0; i < 200; i++) {
      const bound = await runTool("ip", ["netns", "exec", namespace, "cat", "/proc/net/udp", "/proc/net/udp6"]);
      if ((bound.match(/:01BB /g)?.length ?? 0) >= quicAddresses.length) return quic;
      if (children.some((child) => child.exitCode !== null)) break;
      await sleep(10);
    }
    await quic.close();
    throw new Error("gtlsserver did not start");
  }

  async close(): Promise<void> {
    const ended = this.#children
      .filter((child) => child.exitCode === null && child.signalCode === null)
      .map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(ended);
  }
}
