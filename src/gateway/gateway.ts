/**
 * The network gateway: an enforcer for everything that arrives on the inside interfaces of this host, with its policy file
 * watched, a control socket, and word to systemd. Runs until it is told to stop.
 */
import { resolve } from "node:path";
import type { EventBody } from "../audit/event.ts";
import type { RetentionLimits } from "../audit/retention.ts";
import { checkControlPath, ControlServer } from "../enforcer/control.ts";
import { Enforcer } from "../enforcer/enforcer.ts";
import { metricsOf } from "../enforcer/metrics.ts";
import { loadConfigFile } from "../config/config.ts";
import type { MetricsAddress } from "../config/metrics-address.ts";
import { MetricsServer } from "../enforcer/metrics-server.ts";
import { loadFile, PolicyWatch } from "../enforcer/policy-source.ts";
import { parseResolver, systemResolvers } from "../enforcer/resolvers.ts";
import { checkHost } from "../kernel/features.ts";
import { requireInterfaces } from "../kernel/interfaces.ts";
import { notifySystemd } from "../kernel/notify.ts";
import { formatProblem } from "../policy/problem.ts";
import { ConfigInForce } from "./config-in-force.ts";
import { recordSettings } from "./record-settings.ts";

/** How long sinks may take for the last records of a gateway that stops, milliseconds. */
const lastWordsMs = 3_000;

export interface GatewayOptions {
  policy: string;
  inside: string[];
  outside: string | null;
  state: string;
  dns: string[];
  dnsPort: number;
  dnsDeny: "nxdomain" | "refused";
  queue: number;
  threads: number;
  masquerade: boolean;
  onExit: "closed" | "clean";
  /** File of the private key that signs the record; null: it is not signed. */
  signKey: string | null;
  retention: RetentionLimits;
  /** `sallyport.config.yaml`: how the record is kept, and where it goes besides. */
  config?: string;
  /** Where a scraper may ask for metrics, over TCP; outranks the configuration. */
  metrics?: MetricsAddress;
  onEvent?: (event: EventBody) => void;
  /** One line for people, on stderr. */
  say: (line: string) => void;
}

export interface Gateway {
  enforcer: Enforcer;
  /** Resolves with the exit code when the gateway has stopped. */
  stopped: Promise<number>;
  stop(): void;
  /** Reads the policy and the configuration again; the outcome is said. */
  reload(): void;
}

/** Enforces when it resolves; rejects with a SallyportError and nothing half applied. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const file = resolve(options.policy);
  const policy = loadFile(file);
  const config = options.config === undefined ? null : loadConfigFile(options.config);
  const recordKept = recordSettings(options, config);
  const address = options.metrics ?? config?.metrics ?? null;
  const upstreams = options.dns.length > 0 ? options.dns.map(parseResolver) : systemResolvers();
  const state = resolve(options.state);
  checkControlPath(state);
  checkHost();
  requireInterfaces([...options.inside, ...(options.outside === null ? [] : [options.outside])]);
  let end: (code: number) => void = () => {};
  const stopped = new Promise<number>((done) => (end = done));
  const configuration =
    config === null
      ? null
      : new ConfigInForce(config, {
          state,
          hasMetricsOption: options.metrics !== undefined,
          check: (next) => void recordSettings(options, next),
          record: (event) => telling?.record(event),
          exporter: (exporter) => {
            if (telling !== null) telling.exporter = exporter;
          },
        });
  // Before anything is enforced: a port that is taken must not leave a ruleset behind.
  let telling: Enforcer | null = null;
  const metrics =
    address === null ? null : await MetricsServer.start(address, () => (telling === null ? null : metricsOf(telling)));
  const enforcer = await Enforcer.start({
    namespace: null,
    stand: {
      kind: "links",
      inside: options.inside,
      outside: options.outside,
      masquerade: options.masquerade,
    },
    queueBase: options.queue,
    queues: options.threads,
    dnsPort: options.dnsPort,
    dnsDeny: options.dnsDeny,
    upstreams,
    policy,
    state,
    ...recordKept,
    sinks: () => configuration?.sinks() ?? [],
    fixed: [],
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    onFatal: (message) => {
      options.say(`enforcement lost: ${message}; new connections are refused`);
      void shutdown(1);
    },
  }).catch((error: unknown) => {
    metrics?.close();
    throw error;
  });
  telling = enforcer;
  const reload = async (ifChanged = false) => {
    try {
      return (await enforcer.reloadPolicy(file, ifChanged))?.ended ?? null;
    } finally {
      // Also after a change that broke off: the dates are those of the policy that is in force.
      watch.at(enforcer.policy.loaded.nextChange);
    }
  };
  // Of a policy's warnings the one that is about where it is in force.
  const warn = () => {
    for (const warning of enforcer.policy.loaded.warnings)
      if (warning.code === "needs_process") options.say(`warning: ${formatProblem(warning)}`);
  };
  const announce = (change: Promise<number | null>) => {
    change.then(
      (ended) => {
        if (ended === null) return options.say(`policy ${shortHash(enforcer)} in force, unchanged`);
        options.say(`policy ${shortHash(enforcer)} in force, ${ended} connections ended`);
        warn();
      },
      (error: Error) => options.say(`policy not changed: ${error.message}`),
    );
  };
  const reloadConfiguration = () => {
    configuration?.reload().then(
      (outcome) => options.say(`configuration ${configuration.file}: ${outcome}`),
      (error: Error) => options.say(`configuration not changed: ${error.message}`),
    );
  };
  const configWatch =
    configuration === null
      ? null
      : new PolicyWatch(configuration.file, { replaced: reloadConfiguration, due: () => {} });
  const watch = new PolicyWatch(file, {
    // Whoever replaced it may have had it read already, by `sallyport reload` or SIGHUP.
    replaced: () => announce(reload(true)),
    // The text in force, not the file's: a broken file must not keep a rule alive beyond its date.
    due: () => announce(renew()),
  });
  const renew = async () => {
    const { ended } = await enforcer.setPolicy(enforcer.policy.text, file);
    watch.at(enforcer.policy.loaded.nextChange);
    return ended;
  };
  watch.at(policy.loaded.nextChange);
  let control: ControlServer;
  try {
    if (configuration !== null) enforcer.configuration = () => configuration.view();
    configuration?.start();
    control = await ControlServer.start(enforcer, {
      reload: async () => {
        const ended = (await reload()) ?? 0;
        const outcome = (await configuration?.reload()) ?? null;
        return { policy: enforcer.policy.loaded.engine.hash, ended, config: outcome };
      },
    });
  } catch (error) {
    watch.close();
    configWatch?.close();
    metrics?.close();
    await configuration?.stop(0);
    await enforcer.stop("clean");
    throw error;
  }
  let stopping = false;
  async function shutdown(code: number): Promise<void> {
    if (stopping) return;
    stopping = true;
    notifySystemd("STOPPING=1");
    watch.close();
    configWatch?.close();
    control.close();
    metrics?.close();
    await enforcer.stop(options.onExit);
    // After the last word of the record is on the disk; a gateway that failed must be started again without delay.
    await configuration?.stop(code === 0 ? lastWordsMs : 0);
    end(code);
  }
  notifySystemd("READY=1");
  options.say(
    `ready: enforcing policy ${shortHash(enforcer)} on ${options.inside.join(", ")} (default ${policy.loaded.policy.default.mode})`,
  );
  warn();
  const reloadAll = () => {
    announce(reload());
    reloadConfiguration();
  };
  return { enforcer, stopped, stop: () => void shutdown(0), reload: reloadAll };
}

function shortHash(enforcer: Enforcer): string {
  return enforcer.policy.loaded.engine.hash.slice(0, 12);
}
