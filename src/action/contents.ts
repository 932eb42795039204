/**
 * One file of a repository at a ref, from GitHub's REST interface (docs.github.com, "Get repository content"). Asked before
 * anything is enforced and before any step has run, because the work tree is not there yet, and would not be trusted if it was.
 */
import http from "node:http";
import https from "node:https";
import { setTimeout as wait } from "node:timers/promises";
import { SallyportError } from "../errors.ts";
import type { Ref } from "./event.ts";

/** For one request with its answer, ms: with the repeats a job knows within 18 s that it cannot be enforced. */
const timeoutMs = 5_000;
/** A policy is limited to less (`policy/size.ts`). */
const mostBytes = 4 << 20;
/** How often a request is made before its failure counts, and the pause before each repeat, ms. */
const pauses = [500, 2_000];

/** The text; null where there is no such file. Throws POLICY_UNREADABLE where it cannot be told. */
export async function fetchFile(
  api: string,
  { repository, ref }: Ref,
  path: string,
  token: string,
): Promise<string | null> {
  const escaped = path.split("/").map(encodeURIComponent).join("/");
  const url = `${api}/repos/${repository}/contents/${escaped}?ref=${encodeURIComponent(ref)}`;
  const what = `${path} of ${repository} at ${ref}`;
  for (let attempt = 0; ; attempt++) {
    const outcome = await request(url, token);
    if ("text" in outcome) return outcome.text;
    if (outcome.status === 404) return null;
    const isLast = attempt >= pauses.length;
    if (!isLast && outcome.isPassing) {
      await wait(pauses[attempt]);
      continue;
    }
    const help =
      outcome.status === 401 || outcome.status === 403
        ? " Give the job `permissions: contents: read`, or the action another token."
        : "";
    const times = isLast && outcome.isPassing ? `, ${pauses.length + 1} times` : "";
    throw new SallyportError("POLICY_UNREADABLE", `${what}: ${outcome.message}${times}.${help}`);
  }
}

type Outcome = { text: string } | { status: number; message: string; isPassing: boolean };

async function request(url: string, token: string): Promise<Outcome> {
  try {
    const response = await open(url, token, AbortSignal.timeout(timeoutMs));
    const status = response.statusCode ?? 0;
    if (status !== 200) {
      response.destroy();
      return { status, message: `GitHub answered ${status}`, isPassing: status === 429 || status >= 500 };
    }
    const bytes = await readBounded(response);
    if (bytes === null) return { status: 0, message: `it is larger than ${mostBytes} bytes`, isPassing: false };
    return { text: bytes };
  } catch (error) {
    const { cause, message, name } = error as Error;
    const isLate = [name, (cause as Error | undefined)?.name].includes("TimeoutError");
    const reason = isLate ? `no answer within ${timeoutMs / 1000} s` : message;
    return { status: 0, message: `GitHub could not be asked: ${reason}`, isPassing: true };
  }
}

/** No redirect is followed. Not by `fetch`: it loads for as long as the rest of the phase. */
function open(url: string, token: string, signal: AbortSignal): Promise<http.IncomingMessage> {
  const headers = {
    accept: "application/vnd.github.raw+json",
    "x-github-api-version": "2022-11-28",
    "user-agent": "sallyport",
    ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
  };
  const { get } = url.startsWith("http:") ? http : https;
  return new Promise((resolve, reject) => get(url, { headers, signal, agent: false }, resolve).on("error", reject));
}

async function readBounded(response: http.IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > mostBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
