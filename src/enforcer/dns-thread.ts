/**
 * The DNS firewall as the main thread has it: set up, told which policy is in force, asked how it stands. What it says comes by one
 * port, which can be emptied at any time: before what the data path tells, so that the record has a name's answer before the
 * connection that followed it, however late this thread is.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from "node:worker_threads";
import type { PolicyAt, Told } from "../datapath/messages.ts";
import { sendPolicy } from "../datapath/policy-parts.ts";
import type { QueueLink } from "../datapath/pool.ts";
import { type EverySecond, everySecond, Pulse, terminated } from "../datapath/pulse.ts";
import { firstWord, type SpareThreads, threadOf } from "../datapath/threads.ts";
import type { Binding } from "../flow/book.ts";
import { SallyportError } from "../errors.ts";
import type { DnsOrder, DnsSetup, DnsStanding, FromDns, ToDns } from "./dns-messages.ts";
import type { Opened } from "./listeners.ts";

export const dnsFile = new URL("./dns-worker.ts", import.meta.url);

export interface DnsThreadOptions extends Omit<DnsSetup, "port" | "taken" | "beats"> {
  /** Threads begun earlier. */
  spare?: SpareThreads;
  onTold: (told: Told) => void;
  /** Bindings that every data-path thread has. */
  onBound: (bindings: Binding[]) => void;
  /** It is gone, by itself or because it hung, and with it all that resolves names. */
  onFailure: (message: string) => void;
  /** When it is looked whether it goes on; left out: once a second. */
  every?: EverySecond;
}

/**
 * How long it may give no sign of life, in seconds, before it is given up and ended: whatever happens; while a policy waits for it, which
 * must not be kept from the data path; and while it is being closed. Nothing is asked of how long its work takes.
 */
const patience = { always: 30, policy: 10, end: 5 } as const;
/** After so many silent seconds nobody waits to hear how it stands: the last word is told, and that there is none since. */
const silentAfter = 2;
/** How long it may take to end by force, ms. */
const terminateMs = 5_000;

interface Waiting {
  resolve: () => void;
  reject: (error: Error) => void;
  /** Of {@link patience}; null: only until it is {@link silentAfter}. */
  patience: number | null;
}

export class DnsThread {
  readonly #options: DnsThreadOptions;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #taken: Int32Array<SharedArrayBuffer>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #pulse: Pulse;
  #sequence = 0;
  #standing: DnsStanding | null = null;
  #isGone = false;
  #isClosing = false;

  private constructor(
    options: DnsThreadOptions,
    worker: Worker,
    port: MessagePort,
    { taken, beats }: Pick<DnsSetup, "taken" | "beats">,
  ) {
    this.#options = options;
    this.#worker = worker;
    this.#port = port;
    this.#taken = taken;
    this.#pulse = new Pulse(beats, (silence) => this.#looked(silence), options.every ?? everySecond);
    port.on("message", (message: FromDns) => this.#received(message));
    worker.on("error", (error: unknown) => this.#died(String(error)));
    worker.on("exit", () => this.#died("it exited"));
  }

  /** Sets it up, without serving anybody. Rejects with a SallyportError. */
  static async start(options: DnsThreadOptions): Promise<DnsThread> {
    const { spare, onTold: _told, onBound: _bound, onFailure: _failure, every: _every, ...setup } = options;
    const { port1, port2 } = new MessageChannel();
    const shared = { taken: newCount(), beats: newCount() };
    const worker = spare?.take(dnsFile) ?? threadOf(dnsFile);
    worker.postMessage({ ...setup, port: port2, ...shared } satisfies DnsSetup, [port2]);
    try {
      await firstWord(worker, "The DNS firewall's thread");
    } catch (error) {
      port1.close();
      throw error;
    }
    return new DnsThread(options, worker, port1, shared);
  }

  /** Serves when it resolves. The sockets are the thread's from now on; its answers wait for these data-path threads. */
  async serve(sockets: readonly Opened[], links: readonly QueueLink[]): Promise<void> {
    await this.#ask({ kind: "serve", sockets, links }, patience.always, portsOf(links));
    if (this.#standing === null) throw new SallyportError("INTERNAL", "The DNS firewall's thread ended at once.");
  }

  /** A data-path thread was started again. */
  link(link: QueueLink): void {
    if (!this.#isGone) this.#post({ kind: "link", link }, [link.port]);
  }

  /** Resolves when the policy is compiled there; the one in force goes on. A thread that hangs is given up: nobody waits for it. */
  async prepare(policy: PolicyAt): Promise<void> {
    await sendPolicy(policy, (part) => this.#ask({ kind: "prepare", part }, patience.policy));
  }

  /** Resolves when no question is judged by another policy than the one prepared. */
  async commit(): Promise<void> {
    await this.#ask({ kind: "commit" }, patience.policy);
  }

  /** Resolves when everything answered so far is told, refusals that are only counted too; or the thread is given up. */
  async tellAll(): Promise<void> {
    await this.#ask({ kind: "tell" }, patience.end);
  }

  /** How it stands; of a thread that is gone, or has been silent for some seconds, how it stood last. */
  async look(): Promise<DnsStanding> {
    if (this.#pulse.silence < silentAfter) await this.#ask({ kind: "look" }, null);
    return this.standing;
  }

  /** What is the matter with it, for a person; null: nothing, or it is gone, which was told. */
  get problem(): string | null {
    if (this.#isGone || this.#pulse.silence < silentAfter) return null;
    return "the DNS firewall's thread does not answer: no name is resolved, and its numbers are from before";
  }

  /** As of the last word: it serves. */
  get standing(): DnsStanding {
    return this.#standing!;
  }

  /** Takes what it has told so far, now and not when its turn comes. */
  takeTold(): void {
    for (let received; (received = receiveMessageOnPort(this.#port)) !== undefined;)
      this.#received(received.message as FromDns);
  }

  /** Resolves when it serves nobody any more and has told the last, or is given up. Never rejects. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    const closed = this.#ask({ kind: "close" }, patience.end);
    this.#isClosing = true;
    await closed.catch(() => {});
    this.#pulse.end();
    this.#port.close();
    await terminated(this.#worker, terminateMs);
  }

  /** Resolves when it is done, or the thread is gone. */
  async #ask(order: DnsOrder, silent: Waiting["patience"], ports: MessagePort[] = []): Promise<void> {
    if (this.#isGone) return;
    await new Promise<void>((resolve, reject) => {
      const sequence = ++this.#sequence;
      this.#waiting.set(sequence, { resolve, reject, patience: silent });
      this.#post({ ...order, sequence }, ports);
    });
  }

  #post(message: ToDns, ports: MessagePort[] = []): void {
    this.#port.postMessage(message, ports);
  }

  #received(message: FromDns): void {
    if (message.kind === "told") return this.#take(message.told, message.bindings);
    const waiting = this.#waiting.get(message.sequence);
    this.#waiting.delete(message.sequence);
    if (message.kind === "done") {
      this.#standing = message.standing;
      waiting?.resolve();
    } else waiting?.reject(new SallyportError("INTERNAL", `The DNS firewall failed: ${message.message}`));
  }

  #take(told: Told, bindings: Binding[]): void {
    if (bindings.length > 0) this.#options.onBound(bindings);
    this.#options.onTold(told);
    Atomics.add(this.#taken, 0, told.bodies.lines + told.names.length);
  }

  #looked(silence: number): void {
    if (silence < silentAfter) return;
    let left: number = patience.always;
    for (const [sequence, waiting] of this.#waiting) {
      if (waiting.patience !== null) left = Math.min(left, waiting.patience);
      else {
        this.#waiting.delete(sequence);
        waiting.resolve();
      }
    }
    if (silence < left) return;
    this.#died(`it hung, without a sign of life for ${silence} seconds`, true);
    // It must not come back and answer by a policy of before.
    void terminated(this.#worker, terminateMs);
  }

  #died(why: string, isHung = false): void {
    if (this.#isGone) return;
    // What it told before is still on its way.
    this.takeTold();
    this.#isGone = true;
    this.#pulse.end();
    for (const { resolve } of this.#waiting.values()) resolve();
    this.#waiting.clear();
    // What one that hung had not told is missing, also where it was to end.
    if (!this.#isClosing || isHung) this.#options.onFailure(`the DNS firewall's thread died: ${why}`);
  }
}

function newCount(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

function portsOf(links: readonly QueueLink[]): MessagePort[] {
  return links.map(({ port }) => port);
}
