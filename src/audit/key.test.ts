/** A key that signs the record is its owner's alone, is what it says it is, and is never made over another. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadSigningKey, loadTrustedKey, makeKeyPair } from "./key.ts";
import { checkSignature, readStatement, statementText } from "./signature.ts";
import { outputOf, runModule, temporary } from "./test-support.ts";

const folder = temporary();
const file = join(folder, "key");
const { id } = makeKeyPair(file);

test("a pair is a private key for its owner alone and a public key, and what one signs the other verifies", () => {
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, "utf8"), /^-----BEGIN PRIVATE KEY-----/);
  assert.match(readFileSync(`${file}.pub`, "utf8"), /^-----BEGIN PUBLIC KEY-----/);
  const [signing, trusted] = [loadSigningKey(file), loadTrustedKey(`${file}.pub`)];
  assert.deepEqual([signing.id, trusted.id, id.length], [id, id, 64]);
  const { signature } = readStatement(statementText({ word: "signed" }, signing))!;
  assert.equal(checkSignature(signature, [trusted]), "good");
  assert.equal(checkSignature(signature, [makeKeyPair(join(folder, "other"))]), "other_key");
  assert.equal(checkSignature({ ...signature!, signed: Buffer.from("other") }, [trusted]), "wrong");
  assert.equal(checkSignature(readStatement(statementText({}, null))!.signature, [trusted]), "unsigned");
});

test("openssl verifies what we sign with it, by the bytes before the signature and a brace", async () => {
  const line = statementText({ word: "signed" }, loadSigningKey(file));
  const at = line.indexOf(',"signature":"');
  writeFileSync(join(folder, "signed"), `${line.slice(0, at)}}`);
  writeFileSync(join(folder, "signature"), Buffer.from(line.slice(at + 14, -3), "base64"));
  const openssl = ["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", `${file}.pub`];
  const code = `
    import { spawnSync } from "node:child_process";
    const { error, status, stdout } = spawnSync("openssl", process.argv.slice(1), { encoding: "utf8" });
    console.log(error?.code ?? status, stdout);`;
  const args = [...openssl, "-in", join(folder, "signed"), "-sigfile", join(folder, "signature")];
  const { text } = await outputOf(runModule(code, args));
  assert.match(text, /^0 Signature Verified Successfully/);
});

test("nothing is overwritten, and half a pair is not left behind", () => {
  assert.throws(() => makeKeyPair(file), { code: "KEY_UNUSABLE", message: /not overwritten/ });
  const half = join(folder, "half");
  writeFileSync(`${half}.pub`, "");
  assert.throws(() => makeKeyPair(half), { code: "KEY_UNUSABLE", message: /half\.pub .*not overwritten/ });
  assert.equal(statSync(half, { throwIfNoEntry: false }), undefined);
});

test("a private key that others may read, write or run is refused", () => {
  const copy = join(folder, "open");
  writeFileSync(copy, readFileSync(file), { mode: 0o600 });
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o601, 0o644, 0o660]) {
    chmodSync(copy, mode);
    assert.throws(() => loadSigningKey(copy), { code: "KEY_UNUSABLE", message: /others may use it/ }, mode.toString(8));
  }
  for (const mode of [0o600, 0o400]) {
    chmodSync(copy, mode);
    assert.equal(loadSigningKey(copy).id, id);
  }
});

test("another user's private key is refused", { skip: process.getuid?.() !== 0 && "needs root" }, () => {
  const copy = join(folder, "foreign");
  writeFileSync(copy, readFileSync(file), { mode: 0o600 });
  chownSync(copy, 65_534, 65_534);
  assert.throws(() => loadSigningKey(copy), { code: "KEY_UNUSABLE", message: /another user/ });
});

test("what is no Ed25519 key in PEM is refused, and told apart", () => {
  const at = (name: string, content: string | Buffer) => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const pem = { type: "pkcs8", format: "pem" } as const;
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const locked = generateKeyPairSync("ed25519").privateKey.export({ ...pem, cipher: "aes-256-cbc", passphrase: "x" });
  for (const [path, message] of [
    [at("rsa", rsa.privateKey.export(pem)), /a key for rsa, not for Ed25519/],
    [at("locked", locked), /passphrase/],
    [at("junk", "junk"), /no private key in PEM/],
    [at("large", Buffer.alloc(20_000)), /no key file/],
    [`${folder}/none`, /ENOENT/],
    [folder, /no key file|EISDIR|others may/],
  ] as const) {
    assert.throws(() => loadSigningKey(path), { code: "KEY_UNUSABLE", message }, path);
  }
  for (const [path, message] of [
    [file, /no public key/],
    [at("rsa.pub", rsa.publicKey.export({ type: "spki", format: "pem" })), /a key for rsa/],
    [at("junk.pub", "-----BEGIN PUBLIC KEY-----\n"), /no public key/],
  ] as const) {
    assert.throws(() => loadTrustedKey(path), { code: "KEY_UNUSABLE", message }, path);
  }
});
