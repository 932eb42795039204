/**
 * git over smart HTTP: `git http-backend` as a CGI program (RFC 3875) around one bare repository, made when first asked
 * for. It takes pushes from anybody, because a push is a way out that tests must be able to see succeed.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { WebRequest, WebResponse } from "./web.ts";

export class GitServer {
  readonly #root: string;
  #ready: Promise<void> | undefined;

  /** `directory`: an existing directory of the lab; the repository becomes `git/repo.git` in it. */
  constructor(directory: string) {
    this.#root = join(directory, "git");
  }

  async answer(request: WebRequest, response: WebResponse, url: URL): Promise<void> {
    await this.repositories();
    const header = (name: string): string => String(request.headers[name] ?? "");
    const child = spawn("git", ["http-backend"], {
      stdio: ["pipe", "pipe", "ignore"],
      env: {
        ...gitEnvironment,
        PATH: process.env["PATH"],
        GIT_PROJECT_ROOT: this.#root,
        GIT_HTTP_EXPORT_ALL: "1",
        GATEWAY_INTERFACE: "CGI/1.1",
        PATH_INFO: decodeURIComponent(url.pathname),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? "GET",
        REMOTE_ADDR: "lab",
        CONTENT_TYPE: header("content-type"),
        CONTENT_LENGTH: header("content-length"),
        HTTP_CONTENT_ENCODING: header("content-encoding"),
        GIT_PROTOCOL: header("git-protocol"),
      },
    });
    child.on("error", () => response.destroy());
    // The program may answer without reading the whole request; the broken pipe is then not a failure.
    pipeline(request as Readable, child.stdin).catch(() => {});
    const body = await readCgiHeader(child.stdout, response as ServerResponse);
    (response as ServerResponse).write(body);
    await pipeline(child.stdout, response as ServerResponse);
  }

  /** The folder that holds `repo.git`, which is there when this resolves. */
  async repositories(): Promise<string> {
    this.#ready ??= this.#createRepository();
    await this.#ready;
    return this.#root;
  }

  async #createRepository(): Promise<void> {
    const repository = join(this.#root, "repo.git");
    if (existsSync(repository)) return;
    await git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
    await git(["-C", repository, "config", "http.receivepack", "true"]);
    const text = "A repository of the lab.\n";
    const when = "Lab <lab@git.example> 1700000000 +0000";
    const message = "Say what this is\n";
    const lines = [
      "commit refs/heads/main",
      `committer ${when}`,
      `data ${message.length}`,
      `${message}M 100644 inline README.md`,
      `data ${text.length}`,
      text,
    ];
    await git(["-C", repository, "fast-import", "--quiet"], lines.join("\n"));
  }
}

/** Nothing of the host's configuration reaches the lab's git. */
const gitEnvironment = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null", LC_ALL: "C" };

function git(args: string[], input = ""): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = { ...gitEnvironment, PATH: process.env["PATH"] };
    const child = spawn("git", args, { stdio: ["pipe", "ignore", "inherit"], env });
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`git ${args.join(" ")}: exit ${code}`))));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/** Reads the CGI header block, writes the response's head, and returns the body bytes read along with it. */
async function readCgiHeader(output: Readable, response: ServerResponse): Promise<Buffer> {
  let seen = Buffer.alloc(0);
  while (!seen.includes("\r\n\r\n")) {
    const chunk: Buffer | null = output.read();
    if (chunk !== null) seen = Buffer.concat([seen, chunk]);
    else if (output.readableEnded) throw new Error("git http-backend ended without a header");
    else await new Promise((resolve) => output.once("readable", resolve).once("end", resolve));
  }
  const split = seen.indexOf("\r\n\r\n");
  let status = 200;
  for (const line of seen.subarray(0, split).toString("latin1").split("\r\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "status") status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.statusCode = status;
  return seen.subarray(split + 4);
}
