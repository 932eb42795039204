/**
 * `sallyport run`: any command in its own network namespace behind the data path. Builds a place, starts an enforcer in it,
 * runs the command, and takes everything away again, whatever happens on the way.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { EventBody } from "../audit/event.ts";
import { Enforcer } from "../enforcer/enforcer.ts";
import type { PolicyInForce } from "../enforcer/policy-source.ts";
import { parseResolver, systemResolvers } from "../enforcer/resolvers.ts";
import { checkHost } from "../kernel/features.ts";
import { startCommand } from "./command.ts";
import { Destinations, type Destination } from "./destinations.ts";
import { attachToHost, detachFromHost, hostPaths, sweepStale } from "./host.ts";
import { buildNetwork, removeNetwork, withoutV6 } from "./network.ts";
import { type Place, placeOf } from "./place.ts";
import type { RunReport } from "./report.ts";
import { bindingsFromHosts, resolvConfFor, textOf } from "./resolv.ts";
import { claimSlot, exclusively, releaseSlot } from "./slot.ts";

export interface RunOptions {
  argv: string[];
  policy: PolicyInForce;
  /** Where the record is kept; null: a temporary directory, removed at the end. */
  state: string | null;
  dns: string[];
  dnsDeny: "nxdomain" | "refused";
  /** Called for each destination when it is first seen. */
  onDestination?: (destination: Destination) => void;
  onEvent?: (event: EventBody) => void;
}

const queue = 0;
const dnsPort = 1053;

/** Runs the command to its end. Rejects with a SallyportError when enforcement could not be set up; then nothing was run. */
export async function runCommand(options: RunOptions): Promise<RunReport> {
  checkHost();
  const upstreams = options.dns.length > 0 ? options.dns.map(parseResolver) : systemResolvers();
  const temporary = mkdtempSync(join(tmpdir(), "sallyport-"));
  const state = options.state === null ? join(temporary, "state") : resolve(options.state);
  const signals = new Signals();
  const destinations = new Destinations();
  const events: EventBody[] = [];
  let place: Place | null = null;
  try {
    place = await claimPlace();
    const enforcer = await Enforcer.start({
      namespace: place.gateway,
      inside: [place.insideLink],
      outside: place.outsideLink,
      masquerade: true,
      queueBase: queue,
      queues: 1,
      dnsPort,
      dnsDeny: options.dnsDeny,
      upstreams,
      policy: options.policy,
      state,
      fixed: bindingsFromHosts(textOf("/etc/hosts")),
      onEvent: (event) => {
        events.push(event);
        options.onEvent?.(event);
        const begun = destinations.add(event);
        if (begun !== null) options.onDestination?.(begun);
      },
    });
    const started = new Date();
    let exitCode: number;
    try {
      exitCode = await execute(options.argv, place, temporary, signals);
    } finally {
      await enforcer.endFlows();
      await enforcer.stop("clean");
    }
    return {
      schema: "sallyport.run/1",
      command: options.argv,
      exit_code: exitCode,
      mode: options.policy.loaded.policy.default.mode,
      policy: options.policy.loaded.engine.hash,
      started: started.toISOString(),
      ended: new Date().toISOString(),
      destinations: destinations.rows(),
      events,
    };
  } finally {
    if (place !== null) await leavePlace(place);
    rmSync(temporary, { recursive: true, force: true });
    signals.release();
  }
}

async function claimPlace(): Promise<Place> {
  return exclusively((folder) => {
    sweepStale(folder);
    const paths = hostPaths();
    const slot = claimSlot(folder, (each) => paths.isFree(placeOf(each, paths.v6)));
    const place = placeOf(slot, paths.v6);
    try {
      buildNetwork(place, paths.mtu);
      if (!paths.v6) withoutV6(place);
      attachToHost(folder, place, paths);
    } catch (error) {
      detachFromHost(folder, place);
      removeNetwork(place);
      releaseSlot(folder, slot);
      throw error;
    }
    return place;
  });
}

async function leavePlace(place: Place): Promise<void> {
  await exclusively((folder) => {
    detachFromHost(folder, place);
    removeNetwork(place);
    releaseSlot(folder, place.slot);
  });
}

/** The command's exit code, or 128 plus the signal's number that ended it, as shells say it. */
async function execute(argv: string[], place: Place, folder: string, signals: Signals): Promise<number> {
  if (signals.received !== null) return 128 + (constants.signals[signals.received] ?? 0);
  const text = resolvConfFor(textOf("/etc/resolv.conf"), place.v4.inside);
  const resolvConf = text === null ? null : join(folder, "resolv.conf");
  if (resolvConf !== null) writeFileSync(resolvConf, text!, { mode: 0o644 });
  const child = startCommand({ namespace: place.command, argv, resolvConf });
  signals.forward = (signal) => child.kill(signal);
  return new Promise<number>((done, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => done(signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0)));
  });
}

/**
 * Signals meant for the command. Before it runs they are remembered, so that what is half built is taken away first. On a
 * terminal Ctrl-C reaches the command by itself.
 */
class Signals {
  received: NodeJS.Signals | null = null;
  forward: ((signal: NodeJS.Signals) => void) | null = null;
  readonly #handled: NodeJS.Signals[] = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"];
  readonly #handle = (signal: NodeJS.Signals) => {
    this.received = signal;
    const fromTerminal = process.stdin.isTTY && (signal === "SIGINT" || signal === "SIGQUIT");
    if (!fromTerminal) this.forward?.(signal);
  };

  constructor() {
    for (const signal of this.#handled) process.on(signal, this.#handle);
  }

  release(): void {
    for (const signal of this.#handled) process.off(signal, this.#handle);
  }
}
