/**
 * The lab's certificate authority: made once per lab with the openssl CLI, then one leaf per name at its first use, so
 * that a lab starts fast and any name a test invents has a certificate. Clients trust it through `caFile`.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAddress } from "../../../src/address/ip.ts";

const run = promisify(execFile);

export type KeyAndCertificate = { key: Buffer; cert: Buffer; keyFile: string; certFile: string };

/** Where the authority's files are inside a lab's directory. */
export function authorityFiles(directory: string) {
  return {
    config: join(directory, "openssl.cnf"),
    caKey: join(directory, "ca.key"),
    caFile: join(directory, "ca.pem"),
    leafKey: join(directory, "leaf.key"),
  };
}

/** Makes the authority and the key that all leaves share. */
export async function createAuthority(directory: string): Promise<void> {
  const files = authorityFiles(directory);
  // An own configuration: the system's would mark every leaf as an authority.
  await writeFile(files.config, "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=Lab root\n");
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const extensions = [
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
  ];
  await Promise.all([
    run("openssl", [
      ...[
        "req",
        "-x509",
        "-config",
        files.config,
        ...curve,
        "-days",
        "7",
        "-keyout",
        files.caKey,
        "-out",
        files.caFile,
      ],
      ...extensions.flatMap((extension) => ["-addext", extension]),
    ]),
    run("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", files.leafKey]),
  ]);
}

/** Issues leaves from an authority made by `createAuthority`. */
export class CertificateIssuer {
  readonly #directory: string;
  readonly #issued = new Map<string, Promise<KeyAndCertificate>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The certificate of a name or address; issued at the first call. */
  issue(name: string): Promise<KeyAndCertificate> {
    let issued = this.#issued.get(name);
    if (issued === undefined) {
      issued = this.#make(name, this.#issued.size);
      this.#issued.set(name, issued);
    }
    return issued;
  }

  async #make(name: string, serial: number): Promise<KeyAndCertificate> {
    const { config, caKey, caFile, leafKey } = authorityFiles(this.#directory);
    const certFile = join(this.#directory, `leaf-${serial}.pem`);
    const subject = parseAddress(name) === null ? `DNS:${name}` : `IP:${name}`;
    await run("openssl", [
      ...["req", "-x509", "-config", config, "-CA", caFile, "-CAkey", caKey, "-key", leafKey, "-days", "7"],
      ...["-subj", `/CN=${name.slice(0, 64)}`, "-addext", `subjectAltName=${subject}`, "-out", certFile],
      ...["-addext", "extendedKeyUsage=serverAuth,clientAuth", "-addext", "basicConstraints=critical,CA:FALSE"],
    ]);
    return { key: await readFile(leafKey), cert: await readFile(certFile), keyFile: leafKey, certFile };
  }
}
