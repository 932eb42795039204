/**
 * A small Debian archive with one package made at start, `lab-greeting`: Release, Packages and the .deb, as `apt-get update`
 * and `apt-get download` ask for them. It is not signed: sources name it `[trusted=yes]`.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { ar, tar } from "./archives.ts";
import { end } from "./web.ts";
import type { WebRequest, WebResponse } from "./web.ts";

const pool = "pool/lab-greeting_1.0_all.deb";

export class AptRepository {
  readonly #files: ReadonlyMap<string, Buffer>;

  constructor() {
    const control = [
      "Package: lab-greeting",
      "Version: 1.0",
      "Architecture: all",
      "Maintainer: Lab <lab@apt.example>",
      "Description: A package of the lab.",
    ].join("\n");
    const deb = makeDeb(`${control}\n`);
    const packages = Buffer.from(`${control}\nFilename: ${pool}\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\n\n`);
    const indices = ["all", "amd64", "arm64"].flatMap((architecture): [string, Buffer][] => [
      [`main/binary-${architecture}/Packages`, packages],
      [`main/binary-${architecture}/Packages.gz`, gzipSync(packages)],
    ]);
    const release = [
      "Origin: Lab",
      "Suite: stable",
      "Codename: stable",
      "Date: Wed, 01 Jan 2025 00:00:00 UTC",
      "Architectures: all amd64 arm64",
      "Components: main",
      "SHA256:",
      ...indices.map(([path, bytes]) => ` ${sha256(bytes)} ${bytes.length} ${path}`),
    ].join("\n");
    this.#files = new Map([
      ["/debian/dists/stable/Release", Buffer.from(`${release}\n`)],
      ...indices.map(([path, bytes]): [string, Buffer] => [`/debian/dists/stable/${path}`, bytes]),
      [`/debian/${pool}`, deb],
    ]);
  }

  async answer(request: WebRequest, response: WebResponse, url: URL): Promise<void> {
    request.resume();
    const found = this.#files.get(url.pathname);
    if (found === undefined) return end(response, 404, { "content-type": "text/plain" }, "Not found\n");
    end(response, 200, { "content-type": "application/octet-stream" }, found);
  }
}

/** deb(5): the format's version, the control file, the files. */
function makeDeb(control: string): Buffer {
  const readme = { path: "./usr/share/doc/lab-greeting/README", data: "hello from the lab\n" };
  return ar([
    { path: "debian-binary", data: "2.0\n" },
    { path: "control.tar.gz", data: gzipSync(tar([{ path: "./control", data: control }])) },
    { path: "data.tar.gz", data: gzipSync(tar([readme])) },
  ]);
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
