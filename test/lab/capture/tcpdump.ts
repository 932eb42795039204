/**
 * The capture process in the internet namespace: every packet that arrives there, on the outside link and on loopback
 * (barriers). It knows when the kernel dropped packets before they could be read, so that "nothing was seen" is only said
 * when it is true.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeFrame } from "./packet.ts";
import type { Packet } from "./packet.ts";
import { PcapReader } from "./pcap.ts";

const linktypeLinuxSll2 = 276;

/**
 * The largest packet plus its cooked header. Packets lie close together in the ring's blocks (256 KiB with libpcap), and
 * the kernel hands a block over when it is full or a second old. Immediate mode would hand packets over at once but give
 * each a slot as large as the largest, and a burst of acknowledgements would overrun it.
 */
const snapLength = 65_600;

export class Tcpdump {
  readonly #child: ChildProcess;
  readonly #started = Promise.withResolvers<void>();
  #stderr = "";
  #failure: Error | undefined;

  private constructor(child: ChildProcess, receive: (packet: Packet) => void) {
    this.#child = child;
    this.#started.promise.catch(() => {});
    const reader = new PcapReader();
    child.stdout?.on("data", (chunk: Buffer) => {
      try {
        for (const frame of reader.feed(chunk)) {
          const packet = decodeFrame(frame);
          if (packet !== null) receive(packet);
        }
        if (reader.linkType === linktypeLinuxSll2) this.#started.resolve();
        else if (reader.linkType !== undefined) throw new Error(`tcpdump gave link type ${reader.linkType}`);
      } catch (error) {
        this.#fail(error as Error);
      }
    });
    child.stderr?.setEncoding("latin1").on("data", (text: string) => (this.#stderr += text));
    child.on("error", (error) => this.#fail(error));
    child.on("exit", () => this.#fail(new Error(`tcpdump ended: ${this.#stderr.trim()}`)));
  }

  /** Resolves when packets are being captured. `immediate`: each at once, where few are expected and soon. */
  static async start(
    namespace: string,
    receive: (packet: Packet) => void,
    { filter = "inbound", immediate = false }: { filter?: string; immediate?: boolean } = {},
  ): Promise<Tcpdump> {
    const child = spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", "ip", "netns", "exec", namespace, "tcpdump", "-i", "any", "-y", "LINUX_SLL2"],
        // As a filter and not as `-Q in`: the kernel then drops what leaves before it takes room in the ring.
        ...["-n", "-U", "-s", String(snapLength), "-B", "32768", "-Z", "root", "-w", "-"],
        ...(immediate ? ["--immediate-mode"] : []),
        filter,
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const tcpdump = new Tcpdump(child, receive);
    await tcpdump.#started.promise;
    return tcpdump;
  }

  /** How many packets the kernel dropped because they were not read in time, since the start (tcpdump(1), SIGUSR1). */
  async dropped(): Promise<number> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#stderr = "";
    this.#child.kill("SIGUSR1");
    for (let i = 0; i < 400; i++) {
      const match = /(\d+) packets? dropped by kernel/.exec(this.#stderr);
      if (match !== null) return Number(match[1]);
      if (this.#failure !== undefined) throw this.#failure;
      await sleep(5);
    }
    throw new Error("tcpdump does not tell what it dropped");
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#started.reject(error);
  }
}
