/**
 * Keys that sign the record, as files: an Ed25519 private key in PKCS #8 PEM that nobody but its owner may read, and the public
 * key beside it. The user owns them; nothing here makes one unasked or sends one anywhere.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import type { SigningKey, TrustedKey } from "./signature.ts";
import { SallyportError } from "../errors.ts";

/** No PEM file of an Ed25519 key comes near. */
const longest = 16 * 1024;

/**
 * Reads a private key. KEY_UNUSABLE where the file cannot be read, others may read it, it belongs to another user than us and
 * root, or it is no Ed25519 key without a passphrase.
 */
export function loadSigningKey(file: string): SigningKey {
  const text = readKeyFile(file, (uid, mode) => {
    if ((mode & 0o077) !== 0) return `others may use it (mode ${(mode & 0o777).toString(8)}); chmod 600 ${file}`;
    return uid === 0 || uid === process.geteuid?.() ? null : "it belongs to another user";
  });
  const key = ed25519(file, "private", () => createPrivateKey({ key: text, format: "pem" }));
  const trusted = trustedKey(createPublicKey(key));
  return { id: trusted.id, key, trusted };
}

/** Reads a public key (SubjectPublicKeyInfo, PEM). KEY_UNUSABLE. */
export function loadTrustedKey(file: string): TrustedKey {
  const text = readKeyFile(file, () => null);
  // createPublicKey takes private keys too; one that is handed around for verifying is a mistake to be told.
  if (!text.includes("-----BEGIN PUBLIC KEY-----")) throw unusable(file, "it is no public key in PEM");
  return trustedKey(ed25519(file, "public", () => createPublicKey({ key: text, format: "pem" })));
}

/** Makes a key pair: `file` (0600) and `file.pub`. Overwrites nothing; KEY_UNUSABLE where one is there or cannot be written. */
export function makeKeyPair(file: string): TrustedKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  writeNew(file, 0o600, privateKey.export({ type: "pkcs8", format: "pem" }));
  try {
    writeNew(`${file}.pub`, 0o644, publicKey.export({ type: "spki", format: "pem" }));
  } catch (error) {
    unlinkSync(file);
    throw error;
  }
  return trustedKey(publicKey);
}

function trustedKey(key: KeyObject): TrustedKey {
  const der = key.export({ type: "spki", format: "der" });
  return { id: createHash("sha256").update(der).digest("hex"), key };
}

function readKeyFile(file: string, objection: (uid: number, mode: number) => string | null): string {
  let fd: number | null = null;
  try {
    // A pipe in the key's place must not make us wait for a writer.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    const problem = stats.isFile() && stats.size <= longest ? objection(stats.uid, stats.mode) : "it is no key file";
    if (problem !== null) throw unusable(file, problem);
    const text = readFileSync(fd, "utf8");
    if (!text.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----")) return text;
    throw unusable(file, "it has a passphrase, which nobody could type");
  } catch (error) {
    throw error instanceof SallyportError ? error : unusable(file, (error as Error).message);
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

function ed25519(file: string, half: "private" | "public", read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    throw unusable(file, `it is no ${half} key in PEM`);
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  throw unusable(file, `it is a key for ${key.asymmetricKeyType ?? "something else"}, not for Ed25519`);
}

function writeNew(file: string, mode: number, text: string | Buffer): void {
  try {
    const fd = openSync(file, "wx", mode);
    try {
      writeSync(fd, text.toString());
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw unusable(file, code === "EEXIST" ? "it is there already and is not overwritten" : message);
  }
}

function unusable(file: string, why: string): SallyportError {
  return new SallyportError("KEY_UNUSABLE", `The key ${file} cannot be used: ${why}.`, { file });
}
