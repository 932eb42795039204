/**
 * Statements about the record that are files of one line of JSON: a segment's seal, the head. With a key, their last member
 * is an Ed25519 signature (RFC 8032) over the bytes before it, closed by a brace, so that checking needs the raw bytes and no
 * second serialiser, as with the chain's own hashes.
 *
 * What a signature says: who held this key stated this. It does not say when, nor of which gateway, and nothing against someone
 * who can read the key or make the process that holds it sign. Pure but for the keys it is handed; `key.ts` reads those.
 */
import { sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";

/** A public key to check against. `id` is SHA-256, in hex, of its SubjectPublicKeyInfo in DER. */
export interface TrustedKey {
  readonly id: string;
  readonly key: KeyObject;
}

/** A private key and its public half. */
export interface SigningKey {
  readonly id: string;
  readonly key: KeyObject;
  readonly trusted: TrustedKey;
}

/** What a statement says of its signature. */
export interface Signature {
  /** The id of the key that it names. */
  key: string;
  signed: Buffer;
  value: Buffer;
}

/**
 * - `good`: by one of the keys.
 * - `unsigned`: there is none.
 * - `other_key`: it names a key that is none of them.
 * - `wrong`: it names one of them and is not its signature over these bytes.
 */
export type SignatureCheck = "good" | "unsigned" | "other_key" | "wrong";

const tail = /,"signature":"([A-Za-z0-9+/]{86}==)"\}\n?$/;
const tailLength = 110;

/** A statement as its file's text; signed where a key is given. Members whose value is undefined are left out. */
export function statementText(members: Record<string, unknown>, key: SigningKey | null): string {
  if (key === null) return `${JSON.stringify(members)}\n`;
  const signed = JSON.stringify({ ...members, key: key.id });
  const value = sign(null, Buffer.from(signed), key.key).toString("base64");
  return `${signed.slice(0, -1)},"signature":"${value}"}\n`;
}

/** A statement's members and signature; null where the text is none. The signature is not checked. Never throws. */
export function readStatement(text: string): { members: Record<string, unknown>; signature: Signature | null } | null {
  const start = Math.max(0, text.length - tailLength);
  const found = tail.exec(text.slice(start));
  const signed = found === null ? text : `${text.slice(0, start + found.index)}}`;
  let members: unknown;
  try {
    members = JSON.parse(signed);
  } catch {
    return null;
  }
  if (typeof members !== "object" || members === null || Array.isArray(members)) return null;
  const { key } = members as Record<string, unknown>;
  if (found === null) return { members: members as Record<string, unknown>, signature: null };
  const value = Buffer.from(found[1]!, "base64");
  // The last digit has bits to spare: one signature is one text (RFC 4648, section 3.5).
  if (typeof key !== "string" || value.toString("base64") !== found[1]) return null;
  const signature = { key, signed: Buffer.from(signed), value };
  return { members: members as Record<string, unknown>, signature };
}

/** Whether one of the keys made this signature. */
export function checkSignature(signature: Signature | null, keys: readonly TrustedKey[]): SignatureCheck {
  if (signature === null) return "unsigned";
  const named = keys.find(({ id }) => id === signature.key);
  if (named === undefined) return "other_key";
  return verify(null, signature.signed, named.key, signature.value) ? "good" : "wrong";
}
