/**
 * `sallyport run`: any command in its own network namespace behind the data path. Builds a place, starts an enforcer in it,
 * runs the command, and takes everything away again, whatever happens on the way.
 */
import { writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import type { Event } from "../audit/event.ts";
import { readEvents } from "../audit/read.ts";
import type { SigningKey } from "../audit/signature.ts";
import type { SinkConfig } from "../config/sink.ts";
import { SpareThreads } from "../datapath/threads.ts";
import { dnsFile } from "../enforcer/dns-thread.ts";
import { Enforcer } from "../enforcer/enforcer.ts";
import type { PolicyInForce } from "../enforcer/policy-source.ts";
import { parseResolver, systemResolvers } from "../enforcer/resolvers.ts";
import { SallyportError } from "../errors.ts";
import { checkHost } from "../kernel/features.ts";
import { helpersOutside, isResolvConfCovered, startCommand } from "./command.ts";
import { Destinations, type Destination } from "./destinations.ts";
import { StateFolder } from "./folder.ts";
import { attachToHost, detachFromHost, hostPaths, sweepStale } from "./host.ts";
import { buildNetwork, removeNetwork } from "./network.ts";
import { type Place, placeOf } from "./place.ts";
import { type RunSummary, writeReport } from "./report.ts";
import { bindingsFromHosts, resolvConfFor, textOf } from "./resolv.ts";
import { Signals } from "./signals.ts";
import { RunSinks, type Undelivered } from "./sinks.ts";
import { claimSlot, exclusively, releaseSlot, slotFolder } from "./slot.ts";
import type { User } from "./user.ts";

export interface RunOptions {
  argv: string[];
  policy: PolicyInForce;
  /** Who the command runs as; null: root. */
  user: User | null;
  /** Where the record is kept; null: nowhere once the run is over. */
  state: string | null;
  /** Signs the record; null: it is not signed. */
  signingKey: SigningKey | null;
  /** Where the record is sent to besides; only with a `state`, from which the rest can be sent later. */
  sinks: readonly SinkConfig[];
  /** An open file for the report; null: none. Closed by the caller. */
  report: number | null;
  dns: string[];
  dnsDeny: "nxdomain" | "refused";
  /** Called for each destination when it is first seen. */
  onDestination?: (destination: Destination) => void;
  /** Something the user should know, in words. */
  onWarning?: (message: string) => void;
  /** What is waited for, in words. */
  onWait?: (message: string) => void;
}

export interface RunResult {
  report: RunSummary;
  /** What of the promise was not kept, in words: enforcement was lost on the way, or events were. Null: nothing. */
  lost: string | null;
  /** What the sinks have not got. It is kept. */
  undelivered: Undelivered[];
}

const queue = 0;
const dnsPort = 1053;

/** Runs the command to its end. Rejects with a SallyportError when enforcement could not be set up; then nothing was run. */
export async function runCommand(options: RunOptions): Promise<RunResult> {
  checkHost();
  const signals = new Signals();
  const spare = new SpareThreads(1, [dnsFile]);
  let kept: StateFolder | null = null;
  let claim: Claim | null = null;
  try {
    const upstreams = options.dns.length > 0 ? options.dns.map(parseResolver) : systemResolvers();
    kept = options.state === null ? null : StateFolder.open(options.state, options.user);
    for (const path of helpersOutside(options.user)) {
      options.onWarning?.(`the command can reach ${path}: what it has started there is outside of this firewall`);
    }
    claim = await setUp(claimPlace);
    const state = kept?.path ?? join(claim.folder, "state");
    return await enforced(options, { ...claim, state, upstreams, spare, signals, kept });
  } finally {
    await spare.stop();
    if (claim !== null) await leavePlace(claim.place);
    kept?.close();
    signals.release();
  }
}

interface Claim {
  place: Place;
  /** Root's own, gone with the run. */
  folder: string;
}

interface Stand extends Claim {
  state: string;
  upstreams: ReturnType<typeof systemResolvers>;
  spare: SpareThreads;
  signals: Signals;
  kept: StateFolder | null;
}

async function enforced(options: RunOptions, stand: Stand): Promise<RunResult> {
  const { place, state } = stand;
  const destinations = new Destinations();
  let lost: string | null = null;
  const enforcer = await setUp(() =>
    Enforcer.start({
      namespace: place.gateway,
      stand: { kind: "links", inside: [place.insideLink], outside: place.outsideLink, masquerade: true },
      queueBase: queue,
      queues: 1,
      dnsPort,
      dnsDeny: options.dnsDeny,
      upstreams: stand.upstreams,
      policy: options.policy,
      state,
      signingKey: options.signingKey,
      retention: { keepMs: null, keepBytes: null },
      sinks: () => options.sinks.map(({ name }) => name),
      spare: stand.spare,
      fixed: bindingsFromHosts(textOf("/etc/hosts")),
      onEvent: (event) => {
        const begun = destinations.add(event);
        if (begun !== null) options.onDestination?.(begun);
      },
      onFatal: (message) => {
        lost = `enforcement was lost: ${message}; new connections were refused`;
        options.onWarning?.(lost);
      },
    }),
  );
  const first = enforcer.recorder.first;
  const started = new Date();
  const incident = (message: string, data: object) =>
    enforcer.record({ kind: "lifecycle", message, data: { ...data } });
  const sinks = options.sinks.length === 0 ? null : new RunSinks(state, options.sinks, incident);
  let undelivered: Undelivered[] = [];
  let exitCode: number;
  try {
    exitCode = await execute(options, stand);
  } finally {
    try {
      await enforcer.stop("gone");
    } finally {
      // In any case: the exporter is a process, and ours would not end before it.
      undelivered = (await sinks?.finish((message) => options.onWait?.(message))) ?? [];
    }
  }
  const { degraded, fault, lost: events } = enforcer.recorder.status();
  if (degraded || events > 0) lost ??= `the record is incomplete: ${fault ?? `${events} events were lost`}`;
  if (stand.kept?.isInPlace() === false) lost ??= `the record was moved away from ${options.state} during the run`;
  const report: RunSummary = {
    schema: "sallyport.run/1",
    command: options.argv,
    exit_code: exitCode,
    mode: options.policy.loaded.policy.default.mode,
    policy: options.policy.loaded.engine.hash,
    started: started.toISOString(),
    ended: new Date().toISOString(),
    destinations: destinations.rows(),
  };
  if (options.report !== null) await writeReport(options.report, report, eventsSince(state, first));
  return { report, lost, undelivered };
}

/** A folder may hold the record of earlier runs. */
async function* eventsSince(state: string, first: number): AsyncGenerator<Event> {
  for await (const event of readEvents(state)) if (event.seq >= first) yield event;
}

/** Whatever fails before the command runs is a failure to enforce. */
async function setUp<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof SallyportError) throw error;
    throw new SallyportError("PLACE", `Enforcement could not be set up: ${(error as Error).message}`, {}, error);
  }
}

function claimPlace(): Promise<Claim> {
  return exclusively((registry) => {
    sweepStale(registry);
    const paths = hostPaths();
    const at = (slot: number) => placeOf(registry.host, slot, paths.globalV6);
    const slot = claimSlot(registry, (each) => paths.isFree(at(each)));
    const place = at(slot);
    try {
      buildNetwork(place, paths.mtu, paths.v6);
      attachToHost(registry, place, paths.v6);
    } catch (error) {
      removeNetwork(place);
      detachFromHost(registry, place);
      releaseSlot(registry, slot);
      throw error;
    }
    return { place, folder: slotFolder(registry.folder, slot) };
  });
}

async function leavePlace(place: Place): Promise<void> {
  await exclusively((registry) => {
    removeNetwork(place);
    detachFromHost(registry, place);
    releaseSlot(registry, place.slot);
  });
}

/** The command's exit code; that of the signal which came before it could be started. */
async function execute(options: RunOptions, { place, folder, signals }: Stand): Promise<number> {
  if (signals.received !== null) return 128 + (constants.signals[signals.received] ?? 0);
  const text = textOf("/etc/resolv.conf");
  const shown = resolvConfFor(text, place.v4.inside) ?? (isResolvConfCovered() ? text : null);
  const resolvConf = shown === null ? null : join(folder, "resolv.conf");
  if (resolvConf !== null) writeFileSync(resolvConf, shown!, { mode: 0o644 });
  const running = startCommand({ namespace: place.command, argv: options.argv, user: options.user, resolvConf });
  signals.forward = (signal) => running.signal(signal);
  return running.exited;
}
