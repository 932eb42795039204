/**
 * The DNS firewall: every query from inside ends here, whatever server it was sent to, over UDP or TCP. It promises that
 * a name which the policy denies never leaves, that policed clients hear only rebuilt answers whose addresses every
 * data-path worker already knows, and that watched clients notice nothing. It does not judge DNS over TLS, HTTPS or QUIC:
 * those are connections, and the data path's.
 *
 * The enforcer gives it bound sockets and keeps their life cycle; `close` ends this room's own work and connections.
 */
import type net from "node:net";
import { senderOf } from "../address/sender.ts";
import type { DatagramSocket } from "../kernel/datagrams.ts";
import type { Engine } from "../policy/decision.ts";
import { Aliases } from "./aliases.ts";
import { Binder } from "./binder.ts";
import { NameBudget } from "./budget.ts";
import { Cache } from "./cache.ts";
import { peerAddress } from "./client.ts";
import { Exchanges } from "./exchange.ts";
import { Ledger } from "./ledger.ts";
import { Gate } from "./limits.ts";
import { Monitored } from "./monitored.ts";
import { minMessage, passDatagram, PassedStream } from "./passthrough.ts";
import { Policed } from "./policed.ts";
import { Resolver } from "./resolver.ts";
import { type Connection, serveConnection } from "./tcp.ts";
import { Histogram, type HistogramCounts } from "../metrics/histogram.ts";
import {
  answerBounds,
  type Binding,
  type Client,
  defaultLimits,
  type DnsFirewallOptions,
  type DnsLimits,
  type DnsStats,
  type Redirected,
} from "./types.ts";
import { Upstreams } from "./upstream.ts";

/** Datagrams that are begun one right after the other. */
const settledAtOnce = 32;

interface Arrived extends Redirected {
  socket: DatagramSocket;
  link: string;
  bytes: Uint8Array;
}

export class DnsFirewall {
  private readonly options: DnsFirewallOptions;
  private readonly limits: DnsLimits;
  private readonly exchanges = new Exchanges();
  private readonly ledger = new Ledger();
  private readonly upstreams: Upstreams;
  private readonly resolver: Resolver;
  private readonly policed: Policed;
  private readonly monitored: Monitored;
  private readonly queries: Gate;
  private readonly connections: Gate;
  private readonly sockets = new Set<net.Socket>();
  private readonly streams = new Map<Connection, PassedStream>();
  /** Queries whose answer is being made, and who waits until there is none. */
  private working = 0;
  private idle: PromiseWithResolvers<void> | null = null;
  private readonly detach: (() => void)[] = [];
  private readonly arrived: Arrived[] = [];
  private readonly times = new Histogram(answerBounds);
  private readonly counts = { queries: 0, allowed: 0, denied: 0, wouldDeny: 0, passed: 0, overLimit: 0, failures: 0 };

  /** Throws USAGE for upstreams that are not IP addresses and ports, or for none. */
  constructor(options: DnsFirewallOptions) {
    this.limits = { ...defaultLimits, ...options.limits };
    this.options = {
      ...options,
      record: (event) => {
        if (event.verdict === "allow") this.counts.allowed++;
        else if (event.verdict === "deny") this.counts.denied++;
        else this.counts.wouldDeny++;
        options.record(event);
      },
    };
    this.upstreams = new Upstreams(options.upstreams, this.exchanges, this.limits.upstreamTimeout);
    const cache = new Cache(this.limits.cacheEntries, this.limits.cacheBytes);
    this.resolver = new Resolver(this.upstreams, cache, options.now);
    const budget = new NameBudget(this.limits);
    const { ledger, resolver } = this;
    const binder = new Binder(options.bind, ledger, options.now);
    const aliases = new Aliases();
    this.policed = new Policed({ options: this.options, resolver, budget, ledger, aliases, binder });
    this.monitored = new Monitored({ options: this.options, upstreams: this.upstreams, ledger, aliases, binder });
    this.queries = new Gate(this.limits.outstanding, this.limits.outstandingPerSource);
    this.connections = new Gate(this.limits.connections, this.limits.connectionsPerSource);
  }

  /** Serves a bound UDP socket until {@link close}. What comes to it came by `link`, whatever address it claims. */
  listenUdp(socket: DatagramSocket, link: string): void {
    const { local } = socket;
    socket.listen((bytes, client) => {
      if (this.arrived.push({ socket, link, bytes, client, local }) === 1) setImmediate(() => this.settleArrived());
    });
    this.detach.push(() => socket.listen(null));
  }

  /** Serves a listening TCP server until {@link close}; `link` as for UDP. */
  listenTcp(server: net.Server, link: string): void {
    const onConnection = (socket: net.Socket): void => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      serveConnection(socket, {
        limits: this.limits,
        gate: this.connections,
        identify: (peer) => this.identifyStream(peer, link),
        handle: (connection, message) => this.streamMessage(connection, message),
        refused: () => void this.counts.overLimit++,
      });
    };
    server.on("connection", onConnection);
    this.detach.push(() => server.off("connection", onConnection));
  }

  /** Bindings that hold now, for a data-path worker that starts late. */
  bindings(): Binding[] {
    return [...this.ledger.held(this.options.now())];
  }

  stats(): DnsStats {
    return {
      ...this.counts,
      cacheHits: this.resolver.counts.hits,
      staleAnswers: this.resolver.counts.stale,
      upstreamQueries: this.upstreams.counts.queries,
      upstreamFailures: this.resolver.counts.failures,
      upstreamMismatches: this.upstreams.counts.mismatches,
      outstanding: this.queries.inside,
      connections: this.connections.inside,
      cacheEntries: this.resolver.cached,
      bindings: this.ledger.size,
    };
  }

  /** How long queries took, in the buckets of `answerBounds`. */
  answerTimes(): HistogramCounts {
    return this.times.counts();
  }

  /** Stops serving, ends clients' connections and queries under way. The sockets given to us stay their owner's. */
  async close(): Promise<void> {
    for (const detach of this.detach.splice(0)) detach();
    // Nobody has answered these yet, and what would be asked about them is closed next.
    this.arrived.length = 0;
    const gone = [...this.sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
    );
    for (const socket of this.sockets) socket.destroy();
    this.exchanges.close();
    if (this.working > 0) gone.push((this.idle ??= Promise.withResolvers<void>()).promise);
    await Promise.all(gone);
  }

  /** What one turn of the event loop brought. The kernel is asked about all of it at once: asking by one takes longer than answering. */
  private settleArrived(): void {
    const arrived = this.arrived.splice(0);
    this.settle(arrived, this.serversOf("udp", arrived), 0);
  }

  /**
   * So many at once, and the rest when what can be answered of them is: an answer that is known takes its place only as long, and one
   * client's burst must not look like as many questions that are waited for.
   */
  private settle(arrived: readonly Arrived[], servers: ReturnType<DnsFirewall["serversOf"]>, from: number): void {
    const end = Math.min(from + settledAtOnce, arrived.length);
    for (let i = from; i < end; i++) {
      const { socket, link, bytes, ...redirected } = arrived[i]!;
      const client = this.identify("udp", link, redirected, servers[i]);
      if (client !== null) void this.datagram(socket, client, bytes);
    }
    // A tick from a microtask has its turn when there are no microtasks left.
    if (end < arrived.length) queueMicrotask(() => process.nextTick(() => this.settle(arrived, servers, end)));
  }

  private datagram(socket: DatagramSocket, client: Client, bytes: Uint8Array): Promise<void> {
    // The socket may have been closed by its owner while the answer was made; an answer that cannot be sent is lost.
    const send = (answer: Uint8Array): void => this.release(() => socket.send(answer, client.endpoint));
    return this.answer(client, bytes, send, async (engine) => {
      const judged = this.monitored.judge(client, bytes, engine);
      if ("refusal" in judged) return send(judged.refusal);
      if (bytes.length < minMessage) return;
      this.counts.passed++;
      const answer = await passDatagram(this.exchanges, judged.passed.server, bytes);
      await this.observed(this.monitored.observe(judged.passed, answer));
      if (answer !== null) send(answer);
    });
  }

  private streamMessage(connection: Connection, bytes: Uint8Array): Promise<void> {
    const { client } = connection;
    const send = (answer: Uint8Array): void => this.release(() => void connection.send(answer));
    return this.answer(client, bytes, send, async (engine) => {
      const judged = this.monitored.judge(client, bytes, engine);
      if ("refusal" in judged) return send(judged.refusal);
      this.counts.passed++;
      const { passed } = judged;
      const stream = this.streamFor(connection, passed.server);
      const answered = await stream.send(bytes, (answer) => this.observed(this.monitored.observe(passed, answer)));
      if (!answered) await this.monitored.observe(passed, null);
    });
  }

  /** The server's side of a monitored connection; when either side ends, so does the other. */
  private streamFor(connection: Connection, server: PassedStream["server"]): PassedStream {
    const known = this.streams.get(connection);
    if (known !== undefined) return known;
    const stream = new PassedStream(server, {
      deliver: (answer) => new Promise((resolve) => this.release(() => void connection.send(answer).then(resolve))),
      ended: () => connection.destroy(),
    });
    this.streams.set(connection, stream);
    connection.onEnd(() => stream.end());
    connection.onClose(() => {
      this.streams.delete(connection);
      stream.destroy();
    });
    return stream;
  }

  /**
   * Gives a query a place and answers it for policed sources or runs `watch` for watched ones. SERVFAIL where there is no
   * place or something of ours breaks. Never rejects.
   */
  private async answer(
    client: Client,
    bytes: Uint8Array,
    send: (answer: Uint8Array) => void,
    watch: (engine: Engine) => Promise<void>,
  ): Promise<void> {
    this.working++;
    this.counts.queries++;
    const began = performance.now();
    const entered = this.options.hasRoom?.() !== false && this.queries.enter(client);
    try {
      const engine = this.options.policy();
      if (entered && !engine.enforcedFor(client.source)) return await watch(engine);
      if (entered) {
        const answer = await this.policed.answer(client, bytes, engine);
        if (answer !== null) send(answer);
        return;
      }
      this.counts.overLimit++;
      const answer = this.policed.overLimit(client, bytes, engine);
      // A watched client's own server would lose packets under load, not refuse them.
      if (answer !== null && engine.enforcedFor(client.source)) send(answer);
    } catch {
      // A binding or an event that could not be written: without it no answer may leave (fail closed).
      this.counts.failures++;
      const failure = this.policed.failure(client, bytes);
      if (failure !== null) send(failure);
    } finally {
      if (entered) this.queries.leave(client);
      this.times.observe((performance.now() - began) / 1000);
      if (--this.working === 0) this.idle?.resolve();
    }
  }

  private release(send: () => void): void {
    if (this.options.release === undefined) send();
    else this.options.release(send);
  }

  /** For watched clients an unwritten binding must not change the answer; it is counted. */
  private async observed(work: Promise<void>): Promise<void> {
    await work.catch(() => void this.counts.failures++);
  }

  private identifyStream(socket: net.Socket, link: string): Client | null {
    const ends = endsOf(socket);
    if (ends === null) return null;
    const { remoteAddress, remotePort, localAddress, localPort } = ends;
    if (remoteAddress === undefined || remotePort === undefined) return null;
    const query = {
      client: { address: remoteAddress, port: remotePort },
      local: { address: localAddress ?? "", port: localPort ?? 0 },
    };
    return this.identify("tcp", link, query, this.serversOf("tcp", [query])[0]);
  }

  private serversOf(transport: Client["transport"], queries: readonly Redirected[]) {
    try {
      return this.options.originalServers(transport, queries);
    } catch {
      return [];
    }
  }

  private identify(
    transport: Client["transport"],
    link: string,
    { client, local }: Redirected,
    server: Client["endpoint"] | null | undefined,
  ): Client | null {
    const source = peerAddress(client.address);
    if (source === null) return null;
    const endpoint = { address: client.address, port: client.port };
    try {
      if (server === undefined) throw new Error("nobody can say where the query was going");
      const process = this.options.askerOf?.(transport, endpoint, server ?? local) ?? null;
      return {
        source,
        sender: this.options.oneSender === true ? "" : senderOf(source),
        link,
        endpoint,
        transport,
        server,
        ...(process === null ? {} : { process }),
      };
    } catch {
      // A look-up that failed: the query is dropped rather than sent elsewhere.
      this.counts.failures++;
      return null;
    }
  }
}

/** Null where Node throws for them: the zone of a link-local address is no device of this thread's namespace. */
function endsOf(socket: net.Socket) {
  try {
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    return { remoteAddress, remotePort, localAddress, localPort };
  } catch {
    return null;
  }
}
