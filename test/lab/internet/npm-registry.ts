/**
 * A small npm registry with two packages made at start, `lab-greeting`, which depends on `lab-padding`; and others on demand. It answers what
 * `npm view` and `npm install` ask: packuments and tarballs with a true integrity.
 */
import { createHash, randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { tar } from "./archives.ts";
import { end } from "./web.ts";
import type { WebRequest, WebResponse } from "./web.ts";

const origin = "https://registry.npm.example";

type Package = { name: string; packument: string; tarball: Buffer };

export class NpmRegistry {
  readonly #packages: Map<string, Package>;

  constructor() {
    const packages = [
      makePackage("lab-padding", {}, "module.exports = (text) => `  ${text}  `;\n"),
      makePackage(
        "lab-greeting",
        { "lab-padding": "^1.0.0" },
        'module.exports = () => require("lab-padding")("hello from the lab");\n',
      ),
    ];
    this.#packages = new Map(packages.map((each) => [each.name, each]));
  }

  /** `lab-part-0` and so on, for jobs that install many: of some ten to a hundred kilobytes, made when first asked for. */
  #part(name: string): Package | undefined {
    const number = Number(/^lab-part-(\d{1,3})$/.exec(name)?.[1] ?? parts);
    if (number >= parts) return undefined;
    const made = makePackage(name, {}, `// ${randomBytes(5_000 + ((number * 7919) % 45_000)).toString("hex")}\n`);
    this.#packages.set(name, made);
    return made;
  }

  async answer(request: WebRequest, response: WebResponse, url: URL): Promise<void> {
    request.resume();
    const [, name = "", dash, file] = decodeURIComponent(url.pathname).split("/");
    // npm asks for an audit after an install; an empty object means nothing is known to be wrong.
    if (name === "-") return end(response, 200, { "content-type": "application/json" }, "{}");
    const found = this.#packages.get(name) ?? this.#part(name);
    if (found === undefined) return end(response, 404, { "content-type": "application/json" }, '{"error":"Not found"}');
    if (dash === "-" && file === `${name}-1.0.0.tgz`) {
      return end(response, 200, { "content-type": "application/octet-stream" }, found.tarball);
    }
    end(response, 200, { "content-type": "application/json" }, found.packument);
  }
}

/** How many `lab-part-N` there are. */
const parts = 500;

function makePackage(name: string, dependencies: Record<string, string>, source: string): Package {
  const manifest = { name, version: "1.0.0", description: "A package of the lab.", main: "index.js", dependencies };
  const tarball = gzipSync(
    tar([
      { path: "package/package.json", data: `${JSON.stringify(manifest, null, 2)}\n` },
      { path: "package/index.js", data: source },
    ]),
  );
  const dist = {
    tarball: `${origin}/${name}/-/${name}-1.0.0.tgz`,
    integrity: `sha512-${createHash("sha512").update(tarball).digest("base64")}`,
    shasum: createHash("sha1").update(tarball).digest("hex"),
  };
  const packument = { name, "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": { ...manifest, dist } } };
  return { name, packument: JSON.stringify(packument), tarball };
}
