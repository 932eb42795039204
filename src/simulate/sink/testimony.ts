/**
 * What a sink says about itself and what it saw, signed with the shared token: the only ground on which "blocked" is ever
 * said. Also the proof of the token that both sides give each other at the first contact. Pure.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { parseShallow } from "../shallow.ts";
import type { Sighting } from "./witness.ts";

/** What a sink would have seen, had it come. */
export interface Serving {
  tcp: number[];
  udp: number[];
  /** A domain whose name server the sink is; null: none. */
  zone: string | null;
  /** It captures packets, so nothing that arrives escapes it, whatever the protocol or port. */
  capture: boolean;
}

export interface Testimony {
  schema: "sallyport.testimony/1";
  /** Of this one process: a sink that was started again has another, and forgot. */
  sink: string;
  /** RFC 3339: up since, and when this was said. */
  since: string;
  until: string;
  /** Of the question that it answers; null in a file. An old answer, played back, has another. */
  nonce: string | null;
  serving: Serving;
  sightings: Sighting[];
  /** Something arrived that could not be looked at. */
  incomplete: boolean;
  signature: string;
}

export type Unsigned = Omit<Testimony, "signature">;

export function sign(token: string, said: Unsigned): Testimony {
  return { ...said, signature: signatureOf(token, said) };
}

/** The testimony, or why it is none. Whatever is not exactly as signed is refused. */
export function verify(token: string, text: string): Testimony | string {
  const read = parseShallow(text);
  if (read === undefined) return "it is not JSON";
  if (typeof read !== "object" || read === null) return "it is not an object";
  const testimony = read as Testimony;
  if (testimony.schema !== "sallyport.testimony/1") return "it is no testimony of this version";
  const { signature, ...said } = testimony;
  if (typeof signature !== "string" || !isSame(signature, signatureOf(token, said))) {
    return "its signature does not match the token";
  }
  return testimony;
}

/** What one side sends to show that it holds the token, for one nonce and purpose. */
export function proofOf(token: string, purpose: string, nonce: string): string {
  return createHmac("sha256", token).update(`${purpose} ${nonce}`).digest("hex");
}

/** The nonce of a request for `purpose`, where its sender shows that he holds the token; null for anybody else's. */
export function readRequest(token: string, purpose: string, body: string): string | null {
  const { nonce, proof } = membersOf(body);
  const isOurs = typeof nonce === "string" && typeof proof === "string";
  return isOurs && isSame(proof, proofOf(token, purpose, nonce)) ? nonce : null;
}

/** Which process a sink's answer to the first contact comes from; null: whoever answered does not hold the token. */
export function readHello(token: string, nonce: string, body: string): string | null {
  const { sink, answer } = membersOf(body);
  const isOurs = typeof sink === "string" && typeof answer === "string";
  return isOurs && isSame(answer, proofOf(token, "sink", `${nonce} ${sink}`)) ? sink : null;
}

/** The answer that {@link readHello} reads. */
export function helloOf(token: string, nonce: string, sink: string, serving: Serving): string {
  return JSON.stringify({ sink, answer: proofOf(token, "sink", `${nonce} ${sink}`), serving });
}

function membersOf(body: string): Record<string, unknown> {
  const read = parseShallow(body);
  return typeof read === "object" && read !== null ? { ...read } : {};
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Key order is that of the object as written and read: JSON keeps it. */
function signatureOf(token: string, said: Unsigned): string {
  return createHmac("sha256", token).update(JSON.stringify(said)).digest("hex");
}
