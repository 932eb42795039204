/**
 * Questions to the configured resolvers. A query that leaves here is ours from the first bit to the last: a lower-case name,
 * a random ID, a random source port, EDNS without options. Nothing a client chose besides the name and the type reaches
 * the wire. An answer counts only when it comes from the server asked, with our ID and our question (RFC 5452).
 */
import { randomInt } from "node:crypto";
import { parseAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import { encode } from "../wire/dns/encode.ts";
import { decode } from "../wire/dns/message.ts";
import { foldCase, root, type WireName } from "../wire/dns/name.ts";
import { Class, isDefect, type Message, Rcode } from "../wire/dns/types.ts";
import { isSettled } from "./answer.ts";
import type { Exchanges, NoReply, Reply } from "./exchange.ts";
import type { Endpoint } from "./types.ts";

/** Attempts at one question, over all servers: below the five seconds after which stub resolvers give up. */
const maxAttempts = 3;

/** Milliseconds for an answer over TCP. */
const tcpTimeout = 2500;

/** Datagrams with a wrong ID or question on one socket that make it an attack: the question then goes over TCP. */
const maxMismatches = 8;

/** Bytes; DNS Flag Day 2020: below any path's fragmentation limit. */
export const ednsSize = 1232;

export type UpstreamFailure = NoReply | "malformed" | "mismatch" | "rcode";

export type UpstreamResult = { message: Message; bytes: number } | { failed: UpstreamFailure };

interface Ask {
  id: number;
  name: WireName;
  type: number;
  edns: boolean;
}

type Attempt = { message: Message; bytes: number } | "malformed" | "mismatch";

export class Upstreams {
  readonly servers: readonly Endpoint[];
  /** Queries sent, datagrams that matched nothing. */
  readonly counts = { queries: 0, mismatches: 0 };
  private preferredIndex = 0;
  private readonly exchanges: Exchanges;
  private readonly timeout: number;

  constructor(servers: readonly Endpoint[], exchanges: Exchanges, timeout: number) {
    if (servers.length === 0) throw new SallyportError("USAGE", "No upstream DNS server was given.");
    for (const { address, port } of servers) {
      if (parseAddress(address) === null || !Number.isInteger(port) || port < 1 || port > 65535) {
        throw new SallyportError(
          "USAGE",
          `The upstream DNS server ${address} port ${port} is not an IP address and a port.`,
        );
      }
    }
    this.servers = servers;
    this.exchanges = exchanges;
    this.timeout = timeout;
  }

  /** The server that is asked first: the first one, until it falls silent. */
  get preferred(): Endpoint {
    return this.servers[this.preferredIndex]!;
  }

  /** True where `server` is one of the configured ones. */
  includes(server: Endpoint): boolean {
    const address = parseAddress(server.address);
    return this.servers.some((own) => own.port === server.port && parseAddress(own.address) === address);
  }

  /** Asks until a server settles the question or the attempts are used up. Never rejects. `name` is in lower case. */
  async ask(name: WireName, type: number): Promise<UpstreamResult> {
    let failed: UpstreamFailure = "timeout";
    const first = this.preferredIndex;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const index = (first + attempt) % this.servers.length;
      const result = await this.askServer(this.servers[index]!, name, type);
      if ("message" in result) return result;
      failed = result.failed;
      if (failed === "closed") break;
      // Silence may be a lost packet and is worth asking again; a bad answer from every server is not.
      if (failed !== "timeout" && attempt + 1 >= this.servers.length) break;
      // A server that answers badly for one name still serves the others; one that does not answer is asked last.
      const silent = failed === "timeout" || failed === "unreachable";
      if (silent && this.preferredIndex === index) this.preferredIndex = (index + 1) % this.servers.length;
    }
    return { failed };
  }

  private async askServer(server: Endpoint, name: WireName, type: number): Promise<UpstreamResult> {
    let result = await this.askOnce(server, name, type, true);
    // RFC 6891 section 7: a server that does not know EDNS answers FORMERR or NOTIMP without OPT.
    if ("message" in result && result.message.edns === null) {
      const { rcode } = result.message.header;
      if (rcode === Rcode.FORMERR || rcode === Rcode.NOTIMP) result = await this.askOnce(server, name, type, false);
    }
    return "message" in result && !isSettled(result.message.header.rcode) ? { failed: "rcode" } : result;
  }

  /** Over UDP, and over TCP where the answer was cut or someone sends forged ones. */
  private async askOnce(server: Endpoint, name: WireName, type: number, edns: boolean): Promise<UpstreamResult> {
    const ask: Ask = { id: randomInt(65536), name, type, edns };
    this.counts.queries++;
    let mismatches = 0;
    const overUdp = await this.exchanges.udp<Attempt>(server, queryBytes(ask), this.timeout, (bytes) => {
      const answer = matchAnswer(ask, bytes);
      if (answer !== "mismatch") return answer;
      this.counts.mismatches++;
      return ++mismatches >= maxMismatches ? "mismatch" : null;
    });
    const result = settle(overUdp);
    const retry = "message" in result ? result.message.header.truncated : result.failed === "mismatch";
    if (!retry) return result;
    this.counts.queries++;
    const again: Ask = { ...ask, id: randomInt(65536) };
    return settle(
      await this.exchanges.tcp<Attempt>(server, queryBytes(again), tcpTimeout, (bytes) => {
        const answer = matchAnswer(again, bytes);
        // TC has no meaning on a stream; what says so cannot be trusted to be whole.
        return typeof answer === "object" && answer.message.header.truncated ? "malformed" : answer;
      }),
    );
  }
}

function settle(outcome: Reply<Attempt>): UpstreamResult {
  if ("failed" in outcome) return outcome;
  return typeof outcome.reply === "string" ? { failed: outcome.reply } : outcome.reply;
}

function queryBytes(ask: Ask): Uint8Array {
  return encode({
    header: {
      id: ask.id,
      response: false,
      opcode: 0,
      authoritative: false,
      truncated: false,
      recursionDesired: true,
      recursionAvailable: false,
      reserved: false,
      authenticData: false,
      checkingDisabled: false,
      rcode: 0,
    },
    questions: [{ name: ask.name, type: ask.type, class: Class.IN }],
    answers: [],
    authorities: [],
    additionals: [],
    edns: ask.edns ? { udpSize: ednsSize, version: 0, dnssecOk: false, options: [] } : null,
  });
}

/** A datagram that carries our ID but is not well formed ends the attempt; one that is not ours is waited past. */
function matchAnswer(ask: Ask, bytes: Uint8Array): Attempt {
  const message = decode(bytes);
  if (isDefect(message)) {
    return message.header?.response === true && message.header.id === ask.id ? "malformed" : "mismatch";
  }
  const { header, questions } = message;
  if (!header.response || header.opcode !== 0 || header.id !== ask.id) return "mismatch";
  const question = questions[0];
  if (question === undefined) {
    // Servers that refuse a query's format may leave the question out; that settles nothing and binds nothing.
    return header.rcode === Rcode.FORMERR || header.rcode === Rcode.NOTIMP
      ? { message, bytes: bytes.length }
      : "mismatch";
  }
  const same = question.type === ask.type && question.class === Class.IN && foldCase(question.name) === ask.name;
  return same && ask.name !== root ? { message, bytes: bytes.length } : "mismatch";
}
