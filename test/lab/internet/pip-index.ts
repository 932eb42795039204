/**
 * A small Python package index (PEP 503) with two wheels made at start: `lab-greeting`, which depends on `lab-padding`.
 * It answers what `pip download` and `pip install` ask.
 */
import { createHash } from "node:crypto";
import { zip } from "./archives.ts";
import type { Entry } from "./archives.ts";
import { end } from "./web.ts";
import type { WebRequest, WebResponse } from "./web.ts";

type Wheel = { project: string; file: string; bytes: Buffer; digest: string };

export class PipIndex {
  readonly #wheels: readonly Wheel[] = [
    makeWheel("lab_padding", "", "def pad(text):\n    return f'  {text}  '\n"),
    makeWheel(
      "lab_greeting",
      "Requires-Dist: lab-padding>=1.0\n",
      "from lab_padding import pad\n\ndef hello():\n    return pad('hello from the lab')\n",
    ),
  ];

  async answer(request: WebRequest, response: WebResponse, url: URL): Promise<void> {
    request.resume();
    const [, folder, name] = url.pathname.split("/");
    const wheel = this.#wheels.find(({ project, file }) => name === (folder === "simple" ? project : file));
    if (wheel === undefined) return end(response, 404, { "content-type": "text/plain" }, "Not found\n");
    if (folder === "files") return end(response, 200, { "content-type": "application/zip" }, wheel.bytes);
    const { file, digest } = wheel;
    const page = `<!DOCTYPE html><html><body><a href="/files/${file}#sha256=${digest}">${file}</a></body></html>\n`;
    end(response, 200, { "content-type": "text/html" }, page);
  }
}

/** A pure-Python wheel (PEP 427) of one module; RECORD lists every file with its digest, and itself without. */
function makeWheel(module: string, more: string, source: string): Wheel {
  const info = `${module}-1.0.0.dist-info`;
  const project = module.replace("_", "-");
  const entries: Entry[] = [
    { path: `${module}.py`, data: source },
    { path: `${info}/METADATA`, data: `Metadata-Version: 2.1\nName: ${project}\nVersion: 1.0.0\n${more}` },
    { path: `${info}/WHEEL`, data: "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n" },
  ];
  const lines = entries.map(({ path, data }) => {
    const digest = createHash("sha256").update(data).digest("base64url");
    return `${path},sha256=${digest},${Buffer.byteLength(data)}\n`;
  });
  const bytes = zip([...entries, { path: `${info}/RECORD`, data: `${lines.join("")}${info}/RECORD,,\n` }]);
  const digest = createHash("sha256").update(bytes).digest("hex");
  return { project, file: `${module}-1.0.0-py3-none-any.whl`, bytes, digest };
}
