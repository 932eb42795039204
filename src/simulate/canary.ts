/**
 * Canaries: what a probe carries in place of a secret. 21 characters: `spc`, four that tell the technique, six of chance and
 * eight of a keyed hash, so that a sink which holds the token knows its own probes from noise, and nobody else can make a
 * sighting. A canary is a valid DNS label, upper and lower case are the same, and its length divides by three for base64.
 * Pure but for chance.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

const prefix = "spc";
const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
const tag = 4;
const chance = 6;
const proof = 8;
const canaryLength = prefix.length + tag + chance + proof;

/** A secret that a sink and its clients share. */
export function newToken(): string {
  return randomBytes(24).toString("base64url");
}

/** A canary nobody has sent before, for an attempt of a technique. */
export function newCanary(token: string, technique: string): string {
  const start = prefix + tagOf(technique) + lettersOf(randomBytes(chance));
  return start + proofOf(token, start);
}

/** Whether a canary was made for the technique. */
export function isOfTechnique(canary: string, technique: string): boolean {
  return canary.startsWith(prefix + tagOf(technique));
}

/** Whether the text is a canary made with this token. */
export function isCanary(token: string, text: string): boolean {
  const start = text.slice(0, prefix.length + tag + chance);
  if (text.length !== canaryLength || !start.startsWith(prefix)) return false;
  return timingSafeEqual(Buffer.from(proofOf(token, start), "latin1"), Buffer.from(text.slice(start.length), "latin1"));
}

/** What a sink answers to a canary; only one that holds the token can. 32 hex digits. */
export function echoOf(token: string, canary: string): string {
  return createHmac("sha256", token).update(`echo ${canary}`).digest("hex").slice(0, 32);
}

function proofOf(token: string, start: string): string {
  const bytes = createHmac("sha256", token).update(`canary ${start}`).digest();
  return lettersOf(bytes.subarray(0, proof));
}

function tagOf(technique: string): string {
  return lettersOf(createHash("sha256").update(technique).digest().subarray(0, tag));
}

/** Five bits of each byte. */
function lettersOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => alphabet[byte & 31]).join("");
}

/** How a canary travelled. */
export type Form = "plain" | "split" | "hex" | "base64" | "base32";

const plain = /spc[a-z2-7]{18}/gi;
const hex = /(?:73|53)(?:70|50)(?:63|43)[0-9a-f]{36}/gi;
/** `spc` in base64 is `c3Bj`; that once more is `YzNCa`. */
const base64 = /(?:c3Bj[A-Za-z0-9+/_-]{24}|YzNCa[A-Za-z0-9+/_-]{33})/g;
/** The first 20 bits of `spc` in base32 are `onyg`. */
const base32 = /onyg[a-z2-7]{30}/gi;

/**
 * The canaries of this token in a text (bytes as latin1), each with the form it was found in: itself, hex, base64 (also
 * twice), base32, or spread over DNS labels.
 */
export function findCanaries(token: string, text: string): Map<string, Form> {
  const found = new Map<string, Form>();
  const take = (candidate: string, form: Form) => {
    const canary = candidate.toLowerCase();
    if (!found.has(canary) && isCanary(token, canary)) found.set(canary, form);
  };
  const search = (where: string, isSplit: boolean) => {
    for (const [match] of where.matchAll(plain)) take(match, isSplit ? "split" : "plain");
    for (const [match] of where.matchAll(hex)) take(Buffer.from(match, "hex").toString("latin1"), "hex");
    for (const [match] of where.matchAll(base32)) take(fromBase32(match), "base32");
    for (const [match] of where.matchAll(base64)) {
      const once = Buffer.from(match, "base64").toString("latin1");
      take(once.startsWith("c3Bj") ? Buffer.from(once, "base64").toString("latin1") : once, "base64");
    }
  };
  search(text, false);
  // Dots, and the length bytes between labels on the wire, which are below the digits for labels this short.
  // eslint-disable-next-line no-control-regex
  const joined = text.replaceAll(/[\x00-\x2f]/g, "");
  if (joined.length < text.length) search(joined, true);
  return found;
}

/** Base32 (RFC 4648), lower case, no padding. */
export function toBase32(text: string): string {
  let bits = "";
  for (const byte of Buffer.from(text, "latin1")) bits += byte.toString(2).padStart(8, "0");
  return (bits.match(/.{1,5}/g) ?? []).map((each) => alphabet[Number.parseInt(each.padEnd(5, "0"), 2)]).join("");
}

function fromBase32(text: string): string {
  const bits = text.toLowerCase().replaceAll(/./g, (char) => alphabet.indexOf(char).toString(2).padStart(5, "0"));
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((each) => Number.parseInt(each, 2))).toString("latin1");
}
