/**
 * The first contact with a sink, and its testimony. Both sides show that they hold the token before anything else is said.
 * A server that answers and does not show it is somebody else's.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { SallyportError } from "../errors.ts";
import { longest } from "./shallow.ts";
import { proofOf, readHello, type Testimony, verify } from "./sink/testimony.ts";
import type { SinkAddress } from "./live.ts";

/** A way to ask the sink, which has shown the token on it. */
export interface Contact {
  address: string;
  port: number;
  secure: boolean;
  /** The name shown as SNI and Host. */
  name: string | null;
  /** Which process it is. */
  sink: string;
}

const timeoutMs = 3_000;

/** Null: nobody answers from here. Throws NOT_YOUR_SINK where somebody does, and nobody has the token. */
export async function contactSink(at: SinkAddress, ports: readonly number[], token: string): Promise<Contact | null> {
  const addresses = [at.v4, at.v6].filter((each) => each !== null);
  const ways = addresses.flatMap((address) =>
    ports.flatMap((port) =>
      (port === 80 ? [false] : [true, false]).map((secure) => ({ address, port, secure, name: at.name })),
    ),
  );
  const found = await Promise.all(ways.map((way) => hello(way, token)));
  const contact = found.find((each) => typeof each === "object");
  if (contact !== undefined) return contact;
  const stranger = ways.find((_, i) => found[i] === "stranger");
  if (stranger === undefined) return null;
  const text = `The server at ${stranger.address} port ${stranger.port} does not hold the token; no probe was sent to it.`;
  throw new SallyportError("NOT_YOUR_SINK", text, { address: stranger.address, port: stranger.port });
}

async function hello(way: Omit<Contact, "sink">, token: string): Promise<Contact | "stranger" | "silent"> {
  const nonce = randomBytes(16).toString("hex");
  const answer = await ask(way, "hello", nonce, token);
  if (answer === null) return "silent";
  const sink = readHello(token, nonce, answer);
  return sink === null ? "stranger" : { ...way, sink };
}

/** The sink's word of now, or why it does not come. */
export async function fetchTestimony(contact: Contact, token: string): Promise<Testimony | string> {
  const nonce = randomBytes(16).toString("hex");
  const answer = await ask(contact, "testimony", nonce, token);
  const said = answer === null ? "no answer" : verify(token, answer);
  return typeof said === "string" || said.nonce === nonce ? said : "it answers another question";
}

/** From a file, or an address of the web. `unread`: it cannot be had now. A text alone: it can, and is worth nothing. */
export async function readTestimony(place: string, token: string): Promise<Testimony | string | { unread: string }> {
  let text: string;
  try {
    const isWeb = /^https?:/.test(place);
    text = isWeb
      ? await (await fetch(place, { signal: AbortSignal.timeout(timeoutMs) })).text()
      : readFileSync(place, "utf8");
  } catch (error) {
    return { unread: (error as Error).message };
  }
  return verify(token, text);
}

/** One control request; null where there is no HTTP answer. */
function ask(way: Omit<Contact, "sink">, purpose: string, nonce: string, token: string): Promise<string | null> {
  const body = JSON.stringify({ nonce, proof: proofOf(token, purpose, nonce) });
  return new Promise((resolve) => {
    const request = (way.secure ? https : http).request(
      {
        host: way.address,
        port: way.port,
        path: `/.sallyport/${purpose}`,
        method: "POST",
        agent: false,
        rejectUnauthorized: false,
        headers: { Host: way.name ?? way.address, "Content-Length": Buffer.byteLength(body) },
        ...(way.name === null ? {} : { servername: way.name }),
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text = (text + chunk).slice(0, longest + 1)));
        response.once("end", () => end(text));
        response.once("error", () => end(null));
      },
    );
    const timer = setTimeout(() => end(null), timeoutMs);
    request.once("error", () => end(null));
    request.end(body);
    function end(text: string | null): void {
      clearTimeout(timer);
      request.destroy();
      resolve(text);
    }
  });
}
